-- After many rows came in: without it, the newest records are found by sorting the whole table.
analyze {table}
