#!/bin/bash
# The JSON Schema is one, accepts the good policies and refuses those that have a wrong shape.
set -u
cd "$(dirname "$0")/../.." || exit 2
python=''
for p in /usr/bin/python3 python3; do # the packages are the distribution's
	if [ -z "$python" ] && "$p" -c 'import jsonschema, yaml' 2>/dev/null; then python=$p; fi
done
[ -n "$python" ] || { echo "no python3-jsonschema and python3-yaml here"; exit 77; }
KOMAINU=$KOMAINU "$python" - <<'PY'
import glob, json, os, re, subprocess, sys
import yaml
from jsonschema import Draft202012Validator

class Loader(yaml.SafeLoader):
    """YAML 1.2 words: only true and false are truth values, dates are text."""
Loader.yaml_implicit_resolvers = {
    c: [(t, r) for t, r in rs if t not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
    for c, rs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))

schema = json.loads(subprocess.run([os.environ["KOMAINU"], "policy", "schema"], check=True,
                                   stdout=subprocess.PIPE).stdout)
Draft202012Validator.check_schema(schema)
judge = Draft202012Validator(schema)
wrong = 0

def read(name):
    with open(name, encoding="utf-8") as f:
        return json.load(f) if name.endswith(".json") else yaml.load(f, Loader)

good = glob.glob("policies/*.yaml") + glob.glob("tests/policy/good/*.*") + \
    glob.glob("tests/policy/good/parents/*.yaml")
for name in good:
    for error in judge.iter_errors(read(name)):
        print(f"{name}: refused: {error.json_path}: {error.message}")
        wrong += 1

# What a schema of shapes can see; the rest (addresses, doubles, parents) is for policy check.
shapes = ["type-*", "enum-*", "number-[!r]*", "key-unknown-*", "key-wrong-*", "key-m*", "top-l*",
          "top-budget*", "fw-keys*", "fw-later*", "plus-map*", "plus-no*"]
beyond = {"type-name-lines", "type-name-null", "type-rule-nothing", "number-version-float",
          "type-name-no", "type-value-nothing", "type-value-list-empty", "key-unknown-hostile",
          "number-plus", "number-octal", "number-hex", "number-underscore", "number-binary"}
seen = 0
for pattern in shapes:
    for name in glob.glob(f"tests/policy/bad/{pattern}.yaml"):
        if os.path.basename(name)[:-5] in beyond:
            continue
        seen += 1
        if judge.is_valid(read(name)):
            print(f"{name}: accepted")
            wrong += 1
print(f"{len(good)} good, {seen} of a wrong shape")
sys.exit(1 if wrong or len(good) < 10 or seen < 50 else 0)
PY
