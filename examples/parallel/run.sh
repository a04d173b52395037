#!/bin/sh
# Runs a command of fwdeploy on all shards by GNU parallel, and merges the reports.
#
#     run.sh SHARDS REPORTS run inventory.yml --check
#
# JOBS shards run at a time (2). With MACHINES, a file of ssh logins, they run there: each machine has fwdeploy, the inventory at the same path, and the
# keys. The reports come back here. The exit code is the fleet's.
set -eu
shards=$1
reports=$2
shift 2
mkdir -p "$reports"
# A report of an earlier run would be taken for one of this.
rm -rf "$reports"/shard-*/

# Its exit code is how many shards have failed nodes; that of the reports says more. -q: the arguments reach fwdeploy as they are.
seq "$shards" | parallel -q --jobs "${JOBS:-2}" ${MACHINES:+--sshloginfile "$MACHINES" --workdir .} \
    --results "$reports/shard-{}/" fwdeploy "$@" --shard "{}/$shards" --json >/dev/null || :
fwdeploy report merge "$reports"/shard-*/stdout --expect "$shards"
