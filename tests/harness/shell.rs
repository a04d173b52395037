//! Parts of shell scripts that tests run on nodes, as literals for `concat!`.

#![allow(
    unused_macros,
    unused_imports,
    reason = "not every program of tests on real nodes uses each of them"
)]

/// Prints the guard without its counters and without what the kernel has put into its sets, and the files that load it at boot.
macro_rules! print_guard {
    () => {
        "nft -s list table inet fwdeploy 2>/dev/null | awk '/^\\tset refused/ { dynamic = 1 } /^\\t}/ { dynamic = 0 } !dynamic'; \
         find /etc/fwdeploy -type f -printf '%M %u %p\\n' -exec cat {} + 2>/dev/null; cat /etc/systemd/system/fwdeploy-guard.service /etc/systemd/system/nftables.service.d/fwdeploy.conf 2>/dev/null; \
         readlink /etc/systemd/system/sysinit.target.wants/fwdeploy-guard.service; systemctl is-active fwdeploy-guard; "
    };
}

/// Prints what a run leaves on a node only while it is at work or when it was cut off: its lease, its latch, and its units, but not the
/// guard, which stays.
macro_rules! print_left {
    () => {
        "ls -d /var/lib/fwdeploy/armed /etc/firewalld/.fwdeploy 2>/dev/null; ls /etc/systemd/system | grep '^fwdeploy' | grep -vx fwdeploy-guard.service; \
         systemctl list-units --all --plain --no-legend 'fwdeploy*' | grep -v '^fwdeploy-guard[.]service '; \
         nft list tables | grep 'fwdeploy_'; iptables-save -t mangle | grep fwdeploy:latch; :; "
    };
}

/// Kills whoever has the lock of a run: its script, and what that has started. All are halted first, or a script that sees its child end
/// goes on for a moment.
macro_rules! kill_holders {
    () => {
        "holders=$(for h in $(ls /proc | grep '^[0-9]*$'); do [ \"$(readlink /proc/$h/fd/9 2>/dev/null)\" != /etc/firewalld ] || echo $h; done); \
         kill -STOP $holders 2>/dev/null; kill -9 $holders 2>/dev/null; "
    };
}

pub(crate) use kill_holders;
pub(crate) use print_guard;
pub(crate) use print_left;
