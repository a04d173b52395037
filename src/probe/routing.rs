//! A node's addresses, routes and DNS servers: `ip -o addr`, `ip -o route show table all`, resolv.conf(5).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::routing::Address;
use crate::model::routing::Resolvers;
use crate::model::routing::Route;
use crate::model::routing::RouteKind;
use crate::model::routing::Routing;
use crate::model::state::Observed;
use crate::probe::sections::Answers;

/// The node's addresses and routes. What does not read as one, such as a route of a kind that is not known, is left out:
/// no packet is sent by it that this is about.
pub fn routing(answers: &Answers) -> Observed<Routing> {
    match read(answers) {
        Ok(routing) => Observed::Known(routing),
        Err(why) => Observed::Unreadable(why),
    }
}

fn read(answers: &Answers) -> Result<Routing, String> {
    let mut routing = Routing {
        complete: true,
        ..Routing::default()
    };
    for line in whole(answers, "addresses", &mut routing.complete)? {
        routing.addresses.extend(address(line));
    }
    for (name, family) in [("routes-ipv4", Family::V4), ("routes-ipv6", Family::V6)] {
        // iproute2 prints IPv6 routes of several tables twice.
        let mut told = BTreeSet::new();
        let lines = whole(answers, name, &mut routing.complete)?;
        let once = lines.into_iter().filter(|line| told.insert(*line));
        routing
            .routes
            .extend(once.filter_map(|line| route(line, family)));
    }
    Ok(routing)
}

/// The lines of an answer that ends with `end`, or with `more` if there are too many.
fn whole<'a>(
    answers: &'a Answers,
    name: &str,
    complete: &mut bool,
) -> Result<Vec<&'a str>, String> {
    let mut lines: Vec<&str> = answers.get(name)?.lines().collect();
    match lines.pop() {
        Some("end") => {}
        Some("more") => *complete = false,
        _ => return Err(format!("`{name}` is incomplete")),
    }
    Ok(lines)
}

/// `2: eth0    inet 192.0.2.1/24 brd …`, `5: wg0    inet 10.8.0.1 peer 10.8.0.2/32 scope …`
fn address(line: &str) -> Option<Address> {
    let mut words = line.split_whitespace().skip(1);
    let device = words.next()?.split('@').next()?.trim_end_matches(':');
    if !matches!(words.next()?, "inet" | "inet6") {
        return None;
    }
    let local = words.next()?;
    let (text, around) = match (words.next(), words.next()) {
        (Some("peer"), Some(peer)) => (local, peer),
        _ => (local, local),
    };
    Some(Address {
        device: device.to_string(),
        address: bare(text)?,
        network: around_it(around)?,
    })
}

fn bare(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// The network around an address; the address alone without a prefix.
fn around_it(text: &str) -> Option<Cidr> {
    match text.split_once('/') {
        Some((address, prefix)) => Cidr::around(address.parse().ok()?, prefix.parse().ok()?),
        None => text.parse().ok().map(Cidr::host),
    }
}

/// `default via 192.0.2.1 dev eth0 …`, `blackhole 10.0.0.0/8 …`, `local 192.0.2.1 dev eth0 table local …`
fn route(line: &str, family: Family) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (kind, rest) = match *words.first()? {
        "unicast" => (RouteKind::Unicast, &words[1..]),
        "local" => (RouteKind::Local, &words[1..]),
        "unreachable" | "blackhole" | "prohibit" | "throw" => (RouteKind::Refused, &words[1..]),
        "broadcast" | "anycast" | "multicast" | "nat" => return None,
        _ => (RouteKind::Unicast, &words[..]),
    };
    let to = match (*rest.first()?, family) {
        ("default", Family::V4) => "0.0.0.0/0".parse().ok()?,
        ("default", Family::V6) => "::/0".parse().ok()?,
        (text, _) => around_it(text)?,
    };
    let mut via = Vec::new();
    let mut device = String::new();
    for pair in rest.windows(2) {
        match pair {
            ["via", "inet" | "inet6"] => {}
            ["via" | "inet" | "inet6", text] => via.extend(bare(text)),
            ["dev", name] if device.is_empty() => device = (*name).to_string(),
            _ => {}
        }
    }
    Some(Route {
        to,
        device,
        via,
        kind,
        text: words.join(" ").replace(" \\ ", " "),
    })
}

/// The DNS servers: a line `FILE ADDRESS` for each.
pub fn resolvers(answers: &Answers) -> Observed<Resolvers> {
    let mut complete = true;
    let lines = match whole(answers, "resolvers", &mut complete) {
        Ok(lines) => lines,
        Err(why) => return Observed::Unreadable(why),
    };
    let mut out = Resolvers::default();
    for (file, text) in lines.iter().filter_map(|line| line.split_once(' ')) {
        // A link-local server has its interface behind a `%`.
        let Some(server) = text.split('%').next().and_then(|t| t.parse().ok()) else {
            continue;
        };
        match file {
            "/etc/resolv.conf" => out.servers.push(server),
            _ => out.upstream.push(server),
        }
    }
    Observed::Known(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_ip_prints_them() {
        let read = |line: &str| route(line, Family::V4).unwrap();
        let default = read("default via 10.77.3.1 dev host0 proto static ");
        assert!(default.to.is_everything() && default.device == "host0");
        assert_eq!(default.via, ["10.77.3.1".parse::<IpAddr>().unwrap()]);
        let link = read(
            "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown table 7",
        );
        assert_eq!((link.to.prefix(), link.kind), (16, RouteKind::Unicast));
        assert!(link.via.is_empty());
        let several = read(
            "10.9.0.0/16 proto static \\\tnexthop via 192.0.2.1 dev eth0 weight 1 \\\tnexthop via 192.0.2.2 dev eth1 weight 1 ",
        );
        assert_eq!((several.via.len(), several.device.as_str()), (2, "eth0"));
        assert_eq!(
            read("blackhole 10.0.0.0/8 proto static").kind,
            RouteKind::Refused
        );
        let local = "local 10.77.3.11 dev host0 table local proto kernel scope host src 10.77.3.11";
        assert!(read(local).to.is_host() && read(local).kind == RouteKind::Local);
        assert_eq!(
            route("broadcast 10.77.3.255 dev host0 table local", Family::V4),
            None
        );
        let other = read("10.9.0.0/16 via inet6 fe80::1 dev eth0");
        assert_eq!(other.via, ["fe80::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn addresses_are_read_as_ip_prints_them() {
        let read = |line: &str| address(line).unwrap();
        let plain = read("2: eth0@if7    inet 10.77.3.11/24 brd 10.77.3.255 scope global eth0\\ ");
        assert_eq!(
            (plain.device.as_str(), plain.network.to_string().as_str()),
            ("eth0", "10.77.3.0/24")
        );
        let tunnel = read("5: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\\ ");
        assert_eq!(
            (
                tunnel.address.to_string().as_str(),
                tunnel.network.to_string().as_str()
            ),
            ("10.8.0.1", "10.8.0.2/32")
        );
        assert!(
            read("2: eth0    inet6 fd00::1/64 scope global \\ ")
                .network
                .prefix()
                == 64
        );
        assert_eq!(address("2: eth0    link/ether 00:11"), None);
    }
}
