"""Remove push tags from Tencent Chat / Push (TIMPush) users: what the functions share.

A user's tags enter as a message (messages), are packed into calls and sent within the budget
(removal, tencent), and leave as an outcome (outcomes) that settles the message (queue).
CONTRIBUTING.md, "Layout", says what each module holds.
"""
