#!/bin/sh
# Runs the Job of fwdeploy.yaml, then that of report.yaml, and prints the recap of all shards. The exit code is the fleet's.
set -eu
cd "$(dirname "$0")"

# wait_for JOB: until it has succeeded or failed, which one `kubectl wait` cannot wait for.
wait_for() {
    while :; do
        case " $(kubectl get job "$1" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}') " in
        *" Complete "* | *" Failed "*) return ;;
        esac
        sleep "${PAUSE:-5}"
    done
}

kubectl delete job fwdeploy fwdeploy-report --ignore-not-found
kubectl apply -f fwdeploy.yaml
wait_for fwdeploy
run=$(kubectl get job fwdeploy -o 'jsonpath={.metadata.uid}')
sed "s/subPath: RUN\$/subPath: $run/" report.yaml | kubectl apply -f -
wait_for fwdeploy-report
kubectl logs job/fwdeploy-report
code=$(kubectl get pods -l job-name=fwdeploy-report -o 'jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}')
exit "${code:-1}"
