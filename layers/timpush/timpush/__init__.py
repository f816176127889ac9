"""Remove push tags from Tencent Chat / Push (TIMPush) users: what the functions share.

A user's tags enter as a message (messages), are packed into calls (packing), sent within the
budget (removal, budget, client) and leave as an outcome (outcomes) that settles the message
(parking). README.md, "Layout", says what each module holds.
"""
