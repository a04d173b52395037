#!/bin/sh
# Merges the reports of the last run of the job, once all of its allocations are done, and prints the recap of all shards. The exit code is the fleet's.
#
#     collect.sh NUMBER-OF-SHARDS
set -eu
shards=$1
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

# The allocations of the job's version that was run last, the oldest first: of an index that was placed twice, the later one counts.
version=$(nomad job inspect -t '{{.Version}}' fwdeploy)
nomad job allocs -t '{{range .}}{{.JobVersion}} {{.CreateIndex}} {{.ClientStatus}} {{.ID}} {{.Name}}{{"\n"}}{{end}}' fwdeploy |
    sort -n -k 2 | while read -r of _ status id name; do
    [ "$of" = "$version" ] || continue
    case $status in
    complete | failed) ;;
    *)
        echo "collect.sh: allocation $name is $status" >&2
        exit 1
        ;;
    esac
    index=${name##*\[}
    nomad alloc logs "$id" fwdeploy >"$reports/shard-${index%]}.json"
done
fwdeploy report merge "$reports" --expect "$shards"
