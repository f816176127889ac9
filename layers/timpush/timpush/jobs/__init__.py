"""Jobs: a file of users in the bucket, removed by the queue's worker, with a report of every user.

The bucket
    inbox/FILE                     an upload; it starts a job with a new id
    inbox/JOB_ID/FILE              the same with an id from the uploader (`state.new_job_id`)
    reports/JOB_ID/report.json     the job's document (`state.Document`)
    reports/JOB_ID/not-removed.csv To_Account,Tag,ErrorCode,Reason,Line
    reports/JOB_ID/faults.csv      Line,Rule
    reports/JOB_ID/parts/          what the report is put together from

The table: partition key `JobId`, sort key `Item`, TTL `ExpiresAt` (Unix seconds)
    job                  the job's document; `Listing` = "job" puts it into the index `JobsByStart`
                         (`Listing`, `StartedAt`)
    range#00003          a byte range: what its check counted, how far it was sent (`ranges.Range`)
    chunks#00003#0000    which of 200 chunks (messages) of range 3 are done (`chunks`)
    part#00003#SHA256    what became of messages that were not wholly removed: figures
    detail#00003#SHA256  the same: users

A job's messages carry the attributes `JobId` and `Chunk`: "3:17" is message 17 of range 3, counted
from 0. A range that is sent again sends the same messages. A message that was split off carries
"3:17-1a2b3c4d", with the first 8 hex digits of the SHA-256 of its body.

A job's state goes checking -> sending -> settling -> done | failed. Stopping sets `stopped` at
once, in any state before an end; the report follows, and with it `EndedAt`. So a job has ended, and
its report is there, when `EndedAt` is set. Figures hold in every state: while a job runs,
`table.read_job` adds up what workers have recorded so far.

Every row of the file is a user: an account that stands in two rows is two users. A user is removed
when all tags of its row are. Rows = FaultyRows + Users, and, once the job has ended,
Users = Removed + NotRemoved.
"""
