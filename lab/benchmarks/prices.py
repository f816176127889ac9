"""List prices in dollars, us-east-1, without free tiers and discounts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """Dollars for `per` of a unit, as `source` said on `date`."""

    unit: str
    dollars: float
    per: float
    source: str
    date: str = "2026-11"

    @property
    def each(self) -> float:
        """Dollars for one."""
        return self.dollars / self.per


MILLION = 1e6
SQS = Price("request to a standard queue", 0.40, MILLION, "https://aws.amazon.com/sqs/pricing/")
LAMBDA = Price("Lambda request", 0.20, MILLION, "https://aws.amazon.com/lambda/pricing/")
GB_SECOND = Price("GB-second, arm64", 0.0000133334, 1, "https://aws.amazon.com/lambda/pricing/")
PIPES = Price("request to a pipe", 0.40, MILLION, "https://aws.amazon.com/eventbridge/pricing/")
DESTINATION = Price(
    "call of an API destination", 0.20, MILLION, "https://aws.amazon.com/eventbridge/pricing/"
)
ALL = (SQS, LAMBDA, GB_SECOND, PIPES, DESTINATION)
CHUNK_BYTES = 64 * 1024
"""A request of SQS and of EventBridge counts once for each 64 KiB of its payload, or a part."""
