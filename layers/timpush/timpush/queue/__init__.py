"""Messages on SQS: cut, sent, dead-lettered, and delayed."""
