# From lines, a line `=`, and other lines: those of the others that the first lack, counting how often each is there.
$0 == "=" { second = 1; next }
!second { have[$0]++; next }
$0 != "" && have[$0]-- <= 0 { print }
