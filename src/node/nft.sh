# list_nft_tables: the tables of nft, a line `table FAMILY NAME` for each. Before it lists tables, nft 1.0.6 reads every rule and every element of every
# set, which takes a tenth of a second for 15,000 elements; to list chains, no nft reads them.
list_nft_tables() {
    local chains
    chains=$(limited nft list chains </dev/null) || return
    printf '%s\n' "$chains" | sed -n 's/^\(table [^ ]* [^ ]*\) {.*/\1/p'
}

# has_nft_table FAMILY NAME: whether nft lists that table. A node without nft has none.
has_nft_table() { list_nft_tables 2>/dev/null | grep -q -x -F "table $1 $2"; }
