"""What is different where records are few: more are for the test, and the gate asks for no more than are there."""

from modelyard.usecase import Gate, Split

# With fewer records, the usual share of them is too small a test for the gate.
FEW_RECORDS = 640
FEW_SPLIT = Split(train=0.5, validation=0.1, test=0.4)
# A part is a little larger or smaller than its share.
SURELY = 0.75


def surely_tested(records: int, split: Split) -> int:
    """How many of the records will be in the test part, at least."""
    return int(records * split.test * SURELY)


def gate_with(test_records: int) -> Gate:
    """The usual gate, which takes so many test records for enough."""
    return Gate(minimum_test_records=min(test_records, Gate().minimum_test_records))
