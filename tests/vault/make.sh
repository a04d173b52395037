#!/bin/sh
# Makes the files of this folder anew with the ansible-vault on PATH. See README.md.
set -eu
cd "$(dirname "$0")"
umask 022

printf 'test password of default\n' >default.pw
printf 'test password of prod\n' >prod.pw
printf 'a wrong test password\n' >wrong.pw
printf 'pässwörd 日本\n' >unicode.pw

# encrypt NAME ID PASSWORD-FILE: stdin, encrypted, into NAME. The id `default` makes format 1.1, another one 1.2.
encrypt() {
    rm -f "$1"
    ansible-vault encrypt --vault-id "$2@$3" --encrypt-vault-id "$2" --output "$1" - 2>/dev/null
}

# Values, as `ansible-vault encrypt_string` would encrypt them.
printf 'hunter2-of-the-fleet' | encrypt value-1.1.txt default default.pw
printf 'hunter2-of-prod' | encrypt value-1.2-prod.txt prod prod.pw
printf 'Passwört "日本" \\ 🔑' | encrypt unicode.txt default unicode.pw
printf 'hunter2-and-line-end\n' | encrypt line-end.txt default default.pw
printf '0123456789abcdef' | encrypt one-block.txt default default.pw
printf '\377\376\000\001' | encrypt binary.txt default default.pw
printf '198.51.100.77' | encrypt address.txt default default.pw
# shellcheck disable=SC1083
printf '{{ 1 + 1 }}' | encrypt template.txt default default.pw
seq 1 2000 | encrypt long.txt default default.pw

# Whole files.
cat <<'YAML' | encrypt vars.yml default default.pw
# What the group keeps to itself.
vault_become: hunter2-in-a-file
cybex_peers:
  - 198.51.100.21
  - 198.51.100.22
YAML
printf 'vault_wrong: hunter2-as-address\r\ncybex_peers: "{{ vault_wrong }}"\r\n' | encrypt crlf-inside.yml default default.pw
cat <<'YAML' | encrypt mistakes.yml default default.pw
cybex_port: hunter2-as-port
cybex_peers: [198.51.100.300]
YAML
cat <<'YAML' | encrypt inventory.yml prod prod.pw
all:
  hosts:
    hidden-1: {ansible_host: 192.0.2.11, fwdeploy_roles: [cybex], cybex_peers: [198.51.100.31]}
YAML
