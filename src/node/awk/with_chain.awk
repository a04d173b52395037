# From tables: the same with an empty DOCKER-USER.
{ print }
$0 == "*filter" { print ":DOCKER-USER - [0:0]"; there = 1 }
END { if (!there) print "*filter\n:DOCKER-USER - [0:0]\nCOMMIT" }
