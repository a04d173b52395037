"""Checks a file of examples/ with what was published for its kind.

    examples.py kubernetes FILE    every document is what the API of Kubernetes knows, and nothing more
    examples.py github FILE        the workflow is what the schema of GitHub's workflows describes
    examples.py gitlab FILE        the same of GitLab's pipelines
    examples.py hcl FILE           it is HCL; prints the value as JSON

Exits with 1, and says why, if it is not.
"""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

KUBERNETES = "1.33"
SCHEMAS = {
    "github": ["--builtin-schema", "vendor.github-workflows"],
    "gitlab": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


def main(kind: str, file: str) -> int:
    if kind == "kubernetes":
        import kubernetes_validate
        import yaml

        for document in yaml.safe_load_all(Path(file).read_text()):
            try:
                kubernetes_validate.validate(document, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                print(f"{document.get('kind')}: {error.message} at {list(error.path)}")
                return 1
        return 0
    if kind == "hcl":
        import hcl2

        with open(file) as text:
            print(json.dumps(hcl2.load(text)))
        return 0
    return subprocess.run([sys.executable, "-m", "check_jsonschema", *SCHEMAS[kind], file]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
