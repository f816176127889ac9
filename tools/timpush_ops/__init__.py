"""The operator's commands: doctor, send, dlq and status, against AWS or an emulator.

    make ops ARGS="doctor --stack-name NAME"

stack.py finds what the stack made; doctor.py holds the checks; rows.py reads a file of users,
journal.py remembers what of it was sent, job.py sends it; dead_letters.py receives what is
parked, export.py writes it to a file, send_back.py returns it to the queue; status.py adds up the
worker's summary lines. The command line is cli.py, send_command.py, dlq_commands.py, options.py.
"""
