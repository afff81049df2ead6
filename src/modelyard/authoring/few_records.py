"""What is different where records are few: more are for the test."""

from modelyard.use_case import Split

# With fewer records, the usual share of them is too small a test for the gate.
FEW_RECORDS = 640
FEW_SPLIT = Split(train=0.5, validation=0.1, test=0.4)
