"""What tests share: virtual time, factories of Lambda events, and AWS on this machine."""
