"""What is wrong with use-case files, shown where Airflow shows DAGs that cannot be imported.

An import error takes away every DAG of its file. So it is raised here, and the DAGs of the other use cases stay.
"""

from modelyard.errors import BadInput
from modelyard.settings import read_settings
from modelyard.usecase import usable_use_cases

_, problems = usable_use_cases(read_settings().use_cases_path)
if problems:
    raise BadInput("\n".join(map(str, problems)))
