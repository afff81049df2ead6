-- After many rows came in: without it, keys are found by sorting the whole table.
analyze {table} (record_key)
