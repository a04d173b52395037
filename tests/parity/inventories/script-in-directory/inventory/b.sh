#!/bin/sh
echo '{"web": {"hosts": ["w1", "w9"]}, "_meta": {"hostvars": {"w1": {"v": "script"}}}}'
