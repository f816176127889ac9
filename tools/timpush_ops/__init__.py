"""The operator's commands, against AWS or an emulator.

    ./ops doctor --stack-name NAME

stack.py finds what the stack made; doctor.py holds the checks; upload.py uploads a file, which
starts a job, and follow.py looks at a job until it has ended; dead_letters.py receives what is on
the dead-letter queue, export.py writes it to a file, send_back.py returns it to the queue. The
operators' page is board_page.py (templates/, static/), and board_figures.py reads what it shows.
The command line is cli.py, board_command.py, budget_command.py, send_command.py, job_commands.py
(job_view.py: how a job is shown), dlq_commands.py, options.py and output.py.
"""
