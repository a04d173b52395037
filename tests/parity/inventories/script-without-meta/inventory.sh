#!/bin/sh
case $1 in
--list) echo '{"web": {"hosts": ["w1", "w2"]}, "list": ["l1"], "all": {"vars": {"everywhere": 1}}}' ;;
--host) [ "$2" = w1 ] && echo '{"v": "of w1"}' || echo '{}' ;;
esac
