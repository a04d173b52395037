# From lines `CHECKSUM SIZE PATH`: checksum and size of the file at `path`, the last ones told; `-` if none are.
{ sum = $1 " " $2; sub(/^[^ ]+ [^ ]+ /, ""); if ($0 == path) was = sum }
END { print (was == "" ? "-" : was) }
