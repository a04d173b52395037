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

/// Prints what firewalld has at runtime and permanently: chains, rules, and the settings of these zones. All by one process, where each
/// firewall-cmd would take a fifth of a second of a processor.
macro_rules! print_firewalld {
    ($($zone:literal)+) => {
        concat!(
            r##"python3 - "##, $($zone, " ",)+ r##"<<'END'
import sys
import dbus
def plain(value):
    if isinstance(value, dict):
        return sorted((str(key), plain(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return sorted((plain(each) for each in value), key=repr)
    return str(value)
name, path = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
bus = dbus.SystemBus()
def call(path, interface, method, *arguments):
    return getattr(dbus.Interface(bus.get_object(name, path, introspect=False), name + interface), method)(*arguments)
def say(what, call, *arguments):
    try:
        answer = call(*arguments)
    except dbus.DBusException as error:
        print(what, error.get_dbus_message())
        return
    rows = answer if isinstance(answer, (list, tuple)) else sorted(answer.items())
    for row in sorted(repr(plain(row)) for row in rows):
        print(what, row)
def settings(path, interface, method, *arguments):
    # The second form came with firewalld 0.9.
    try:
        return call(path, interface, method + "2", *arguments)
    except dbus.DBusException:
        return call(path, interface, method, *arguments)
say("chain", lambda: call(path, ".direct", "getAllChains"))
say("rule", lambda: call(path, ".direct", "getAllRules"))
say("permanent direct", lambda: [row for part in call(path + "/config", ".config.direct", "getSettings") for row in part])
for zone in sys.argv[1:]:
    say("zone " + zone, lambda: settings(path, ".zone", "getZoneSettings", zone))
    say("permanent zone " + zone, lambda: settings(call(path + "/config", ".config", "getZoneByName", zone), ".config.zone", "getSettings"))
END
"##
        )
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
pub(crate) use print_firewalld;
pub(crate) use print_guard;
pub(crate) use print_left;
