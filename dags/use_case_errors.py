"""What is wrong with use-case files, shown where Airflow shows DAGs that cannot be imported.

An import error takes away every DAG of its file. So it is raised here, and the DAGs of the other use cases stay.
"""

from dags.discovery import find
from modelyard.errors import BadInput
from modelyard.settings import read_settings

problems = find(read_settings().use_cases_path).problems
if problems:
    raise BadInput("\n".join(problems))
