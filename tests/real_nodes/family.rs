//! The whitelist, adoption, rollback and drift on what comes near the Enterprise Linux family (tests/lab/README.md, "Variants").
//!
//! `make lab` runs one of the four on each variant, which the commit decides (tests/run); `make lab-family` runs all.

use crate::adoption::adoption_leaks_no_packet_and_leaves_dockers_rules_alone;
use crate::drift::every_change_by_hand_is_named_and_mended;
use crate::name;
use crate::safety::a_snapshot_comes_back_and_what_others_made_since_stays;
use crate::whitelist::the_whitelist_holds_and_stays;

macro_rules! on_each_variant {
    ($($variant:ident: $backend:literal),+ $(,)?) => {
        $(mod $variant {
            const SUITE: &str = stringify!($variant);

            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn the_whitelist_holds() { super::the_whitelist_holds_and_stays(SUITE, $backend); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn adoption_leaks_nothing() { super::adoption_leaks_no_packet_and_leaves_dockers_rules_alone(SUITE, $backend); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn a_rollback_restores() { super::a_snapshot_comes_back_and_what_others_made_since_stays(SUITE, $backend); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn drift_is_mended() {
                let lab = super::name("d", SUITE, $backend);
                super::every_change_by_hand_is_named_and_mended(&lab, SUITE, $backend);
            }
        })+
    };
}

on_each_variant!(
    el7ish: "iptables",
    el8ish: "nftables",
    el9ish: "nftables",
    el10ish: "nftables",
);
