# From lines `CHECKSUM SIZE PATH`: checksum and size of the file at `path`, the last ones listed; `-` if there are none.
{ sum = $1 " " $2; sub(/^[^ ]+ [^ ]+ /, ""); if ($0 == path) was = sum }
END { print (was == "" ? "-" : was) }
