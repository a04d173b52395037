#!/bin/sh
cat <<'END'
{"web": {"hosts": ["w1", "w2"], "vars": {"v": "group", "t": "{{ v }}"}, "children": ["inner"]},
 "inner": {"hosts": ["i1"]},
 "_meta": {"hostvars": {"w1": {"v": "host", "n": [1, 2.5, null, true]}, "nobody": {"x": 1}}}}
END
