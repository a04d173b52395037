//! `ipaddr` and its family, from Ansible's collection `ansible.utils`, as its use of netaddr answers.
//!
//! Not here are the questions whose answers change with netaddr's version (`public`, `private`, `unicast`) and those that
//! convert between IPv4 and IPv6 (`6to4`, `ipv4`, `ipv6`); they are refused by name.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::IpNet;
use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::role::jinja::arguments::add_filter;
use crate::role::jinja::arguments::elements;
use crate::role::jinja::filters::integer;
use crate::role::jinja::python::error;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::text;

/// An address with the prefix of its network.
#[derive(Clone, Copy)]
struct Address {
    net: IpNet,
    /// Whether a prefix is written.
    is_network: bool,
}

pub(super) fn install(environment: &mut Environment<'static>) {
    add_filter(environment, "ipaddr", |state, value, arguments| {
        filter(state, value, &query(arguments.get(0, "query")?)?, None)
    });
    add_filter(environment, "ipv4", |state, value, arguments| {
        filter(state, value, &query(arguments.get(0, "query")?)?, Some(4))
    });
    add_filter(environment, "ipv6", |state, value, arguments| {
        filter(state, value, &query(arguments.get(0, "query")?)?, Some(6))
    });
    add_filter(environment, "ipwrap", |state, value, _| {
        if is_list(value) {
            let all = elements(state, value, "ipwrap")?;
            return all.iter().map(|one| wrap(one, true)).collect();
        }
        wrap(value, true)
    });
    add_filter(environment, "nthhost", |_, value, arguments| {
        let n = arguments.int(0, "query")?;
        let n = n.ok_or_else(|| error("`nthhost` takes a number"))?;
        Ok(
            match Address::parse(value).and_then(|address| address.nth(n)) {
                Some(ip) => Value::from(ip.to_string()),
                None => Value::from(false),
            },
        )
    });
    add_filter(environment, "ipmath", |_, value, arguments| {
        let add = arguments.int(0, "amount")?;
        let add = add.ok_or_else(|| error("`ipmath` takes a number"))?;
        let address = Address::parse(value).ok_or_else(|| error("`ipmath` takes an address"))?;
        let made = moved(address.net.addr(), i128::from(add));
        made.map(|ip| Value::from(ip.to_string()))
            .ok_or_else(|| error("`ipmath`: there is no such address"))
    });
    add_filter(environment, "ipsubnet", |_, value, arguments| {
        let prefix = arguments.get(0, "query")?;
        let index = arguments.int(1, "index")?;
        let address = match Address::parse(value) {
            Some(address) => address,
            None => return Ok(Value::from(false)),
        };
        let Some(prefix) = prefix.filter(|one| one.as_str() != Some("")) else {
            return Ok(Value::from(address.net.trunc().to_string()));
        };
        let prefix = text(&prefix)?.parse::<u8>();
        let prefix = prefix.map_err(|_| error("`ipsubnet` takes the length of a prefix"))?;
        let net = address.net.trunc();
        if prefix < net.prefix_len() && !address.is_network {
            let around = IpNet::new(net.addr(), prefix);
            let around = around.map_err(|_| error("`ipsubnet`: no network has such a prefix"))?;
            return Ok(Value::from(around.trunc().to_string()));
        }
        if prefix < net.prefix_len() {
            return Err(error(
                "`ipsubnet` takes a prefix that is longer than the network's",
            ));
        }
        let all = net.subnets(prefix);
        let all = all.map_err(|_| error("`ipsubnet`: no network has such a prefix"))?;
        let Some(index) = index else {
            let bits = u32::from(prefix - net.prefix_len());
            return Ok(1_u128.checked_shl(bits).map_or_else(
                || Value::from(false),
                |count| Value::from(count.to_string()),
            ));
        };
        let index = usize::try_from(index).ok().filter(|index| *index < 1 << 16);
        let index = index.ok_or_else(|| error("`ipsubnet` takes an index from 0 to 65535"))?;
        Ok(all
            .into_iter()
            .nth(index)
            .map_or_else(|| Value::from(false), |net| Value::from(net.to_string())))
    });
    add_filter(environment, "network_in_network", |_, value, arguments| {
        let test = arguments.need(0, "test")?;
        let (Some(net), Some(test)) = (Address::parse(value), Address::parse(&test)) else {
            return Err(error("`network_in_network` takes networks"));
        };
        Ok(Value::from(net.net.trunc().contains(&test.net.trunc())))
    });
    add_filter(environment, "network_in_usable", |_, value, arguments| {
        let test = arguments.need(0, "test")?;
        let (Some(net), Some(test)) = (Address::parse(value), Address::parse(&test)) else {
            return Err(error("`network_in_usable` takes networks"));
        };
        let (first, last) = net
            .usable()
            .unwrap_or((number(net.net.addr()), number(net.net.addr())));
        let (from, to) = (number(test.net.network()), number(test.net.broadcast()));
        Ok(Value::from(
            is_v4(&net) == is_v4(&test) && first <= from && to <= last,
        ))
    });
    add_filter(environment, "cidr_merge", |state, value, arguments| {
        let action = arguments.text(0, "action")?;
        if action.is_some_and(|action| action != "merge") {
            return Err(error("`cidr_merge` knows the action `merge`"));
        }
        let mut nets = Vec::new();
        for one in elements(state, value, "cidr_merge")? {
            let address = Address::parse(&one);
            nets.push(
                address
                    .ok_or_else(|| error("`cidr_merge` takes networks"))?
                    .net
                    .trunc(),
            );
        }
        let merged = IpNet::aggregate(&nets);
        Ok(merged
            .iter()
            .map(|net| Value::from(net.to_string()))
            .collect())
    });
}

fn is_v4(address: &Address) -> bool {
    address.net.addr().is_ipv4()
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn query(value: Option<Value>) -> Result<String, Error> {
    value.map_or(Ok(String::new()), |value| text(&value))
}

/// The number of an address.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// The address of a number, of the same version as another.
fn like(ip: IpAddr, number: u128) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(_) => u32::try_from(number)
            .ok()
            .map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        IpAddr::V6(_) => Some(IpAddr::V6(Ipv6Addr::from(number))),
    }
}

fn moved(ip: IpAddr, by: i128) -> Option<IpAddr> {
    like(ip, number(ip).checked_add_signed(by)?)
}

impl Address {
    fn parse(value: &Value) -> Option<Address> {
        let written = value.as_str()?;
        let (ip, prefix) = match written.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (written, None),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let length = match prefix {
            None => {
                if ip.is_ipv4() {
                    32
                } else {
                    128
                }
            }
            Some(prefix) => match (prefix.parse::<u8>(), prefix.parse::<Ipv4Addr>(), ip) {
                (Ok(length), _, _) => length,
                // A netmask, or else its complement.
                (_, Ok(mask), IpAddr::V4(_)) => {
                    let mask = u32::from(mask);
                    let mask = if mask.leading_ones() + mask.trailing_zeros() == 32 {
                        mask
                    } else {
                        !mask
                    };
                    let is_mask = mask.leading_ones() + mask.trailing_zeros() == 32 || mask == 0;
                    is_mask.then_some(mask.leading_ones() as u8)?
                }
                _ => return None,
            },
        };
        Some(Address {
            net: IpNet::new(ip, length).ok()?,
            is_network: prefix.is_some(),
        })
    }

    /// How many addresses its network has, if a number holds it.
    fn size(&self) -> Option<u128> {
        let bits = u32::from(self.net.max_prefix_len() - self.net.prefix_len());
        1_u128.checked_shl(bits)
    }

    /// The number of the address `n` of the network, from the end if it is below 0.
    fn nth(&self, n: i64) -> Option<IpAddr> {
        let size = self.size()?;
        let offset = match u128::try_from(n) {
            Ok(n) => n,
            Err(_) => size.checked_sub(u128::from(n.unsigned_abs()))?,
        };
        (offset < size).then(|| like(self.net.addr(), number(self.net.network()) + offset))?
    }

    /// The first and the last address that hosts may have.
    fn usable(&self) -> Option<(u128, u128)> {
        let (first, last) = (number(self.net.network()), number(self.net.broadcast()));
        match self.size() {
            Some(1) => None,
            Some(2) => Some((first, last)),
            _ => Some((first + 1, last - 1)),
        }
    }
}

fn filter(state: &State, value: &Value, query: &str, version: Option<u8>) -> Result<Value, Error> {
    if is_list(value) {
        let mut made = Vec::new();
        for one in elements(state, value, "ipaddr")? {
            let answer = answer(&one, query, version)?;
            if answer.is_true() {
                made.push(answer);
            }
        }
        return Ok(Value::from(made));
    }
    answer(value, query, version)
}

/// What is answered for one address: nothing where the question does not fit, false where it is no address.
fn answer(value: &Value, query: &str, version: Option<u8>) -> Result<Value, Error> {
    if value.kind() == ValueKind::Number {
        return Err(error(
            "a number is not taken for an address: write the address as a text",
        ));
    }
    let no = || Ok(Value::from(false));
    let Some(address) = Address::parse(value) else {
        return no();
    };
    let net = address.net;
    let its_version = if net.addr().is_ipv4() { 4 } else { 6 };
    if version.is_some_and(|version| version != its_version) {
        return no();
    }
    let nothing = Value::from(());
    let size = address.size();
    let is_single = size == Some(1);
    let is_first = net.addr() == net.network();
    // Networks of two addresses have no broadcast address; IPv6 has none either, but netaddr names the last one.
    let has_broadcast = size.is_none_or(|size| size > 2);
    let ip = || Value::from(net.addr().to_string());
    let whole = || Value::from(net.to_string());
    let usable = |choose: fn((u128, u128)) -> u128| {
        if !address.is_network {
            return Err(error(format!(
                "`ipaddr('{query}')` takes a network, with its prefix"
            )));
        }
        let found = address
            .usable()
            .and_then(|both| like(net.addr(), choose(both)));
        Ok(found.map_or(Value::from(()), |ip| Value::from(ip.to_string())))
    };
    Ok(match query {
        "" => {
            if address.is_network {
                whole()
            } else {
                ip()
            }
        }
        "bool" => Value::from(true),
        "address" | "ip" => {
            if is_single || !is_first || !has_broadcast || its_version == 6 {
                ip()
            } else {
                nothing
            }
        }
        "host" if is_single || !is_first || !has_broadcast => whole(),
        "host" => nothing,
        "cidr" => whole(),
        "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
            let is_end = is_first || net.addr() == net.broadcast();
            if has_broadcast && is_end {
                Value::from(false)
            } else {
                whole()
            }
        }
        "ip/prefix" => {
            if size == Some(2) || !is_single && !is_first {
                whole()
            } else {
                nothing
            }
        }
        "net" => {
            if !is_single && is_first {
                whole()
            } else {
                nothing
            }
        }
        "network" | "network_id" => Value::from(net.network().to_string()),
        "subnet" | "network/prefix" => Value::from(net.trunc().to_string()),
        "netmask" => Value::from(net.netmask().to_string()),
        "hostmask" | "wildcard" => Value::from(net.hostmask().to_string()),
        "network_netmask" => Value::from(format!("{} {}", net.network(), net.netmask())),
        "network_wildcard" => Value::from(format!("{} {}", net.network(), net.hostmask())),
        "broadcast" => {
            if has_broadcast {
                Value::from(net.broadcast().to_string())
            } else {
                nothing
            }
        }
        "prefix" => Value::from(net.prefix_len()),
        "version" => Value::from(its_version),
        "type" => Value::from(if is_single || !is_first {
            "address"
        } else {
            "network"
        }),
        "size" => match size {
            Some(size) => i128::try_from(size).map_or_else(|_| Value::from(size), integer),
            None => return Err(error("the network has more addresses than a number holds")),
        },
        "size_usable" => match size {
            Some(1) => Value::from(0),
            Some(2) => Value::from(2),
            Some(size) => i128::try_from(size - 2).map_or_else(|_| Value::from(size - 2), integer),
            None => return Err(error("the network has more addresses than a number holds")),
        },
        "first_usable" => usable(|(first, _)| first)?,
        "last_usable" => usable(|(_, last)| last)?,
        "range_usable" => {
            let (first, last) = (usable(|(first, _)| first)?, usable(|(_, last)| last)?);
            if first.is_none() {
                nothing
            } else {
                Value::from(format!("{first}-{last}"))
            }
        }
        "int" => {
            let number = number(net.addr());
            if address.is_network {
                Value::from(format!("{number}/{}", net.prefix_len()))
            } else {
                i128::try_from(number).map_or_else(|_| Value::from(number), integer)
            }
        }
        "wrap" => wrap(value, false)?,
        "loopback" | "lo" => kept(value, net.addr().is_loopback()),
        "multicast" => kept(value, net.addr().is_multicast()),
        "link-local" => kept(
            value,
            match net.addr() {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
            },
        ),
        other => match (other.parse::<i64>(), Address::parse(&Value::from(other))) {
            (Ok(n), _) => match address.nth(n) {
                _ if is_single => {
                    if address.is_network {
                        whole()
                    } else {
                        ip()
                    }
                }
                Some(ip) => Value::from(format!("{ip}/{}", net.prefix_len())),
                None => Value::from(false),
            },
            (_, Some(around)) => kept(value, around.net.trunc().contains(&net.trunc())),
            _ => {
                let known = "of those that netaddr answers the same in each version";
                return Err(error(format!(
                    "`ipaddr` does not know the question `{other}`, or it is none {known}"
                )));
            }
        },
    })
}

fn kept(value: &Value, is_kept: bool) -> Value {
    if is_kept {
        value.clone()
    } else {
        Value::from(())
    }
}

/// An IPv6 address in brackets; anything else as it is.
fn wrap(value: &Value, keeps_others: bool) -> Result<Value, Error> {
    Ok(match Address::parse(value) {
        Some(address) if !is_v4(&address) => {
            let ip = address.net.addr();
            Value::from(if address.is_network {
                format!("[{ip}]/{}", address.net.prefix_len())
            } else {
                format!("[{ip}]")
            })
        }
        Some(_) => value.clone(),
        None if keeps_others && value.kind() == ValueKind::String => value.clone(),
        None => return Err(error(format!("{} is no address", kind(value)))),
    })
}
