# From `nft -s list table inet fwdeploy`: the same without the elements of the sets that the kernel fills. nft 1.1.7 also says how many there
# are, behind the size of the set.
/^\tset refused/ { dynamic = 1 }
/^\t}/ { dynamic = within = 0 }
dynamic && /^\t\telements = / { within = 1 }
dynamic && within { if (/}/) within = 0; next }
{ sub(/\t# count [0-9]+$/, ""); print }
