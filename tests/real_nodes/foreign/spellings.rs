//! Foreign rules in a spelling that iptables accepts and prints differently. None lets in an unlisted host ahead of the whitelist.

/// Rules for `filter DOCKER-USER` in IPv4, as a person types them.
pub const SPELLINGS: &[&str] = &[
    "-s 10.90.0.1 -j LOG --log-level warning",
    "-s 10.90.0.1 -j LOG --log-level 4 --log-prefix 'x y '",
    "-s 10.90.0.1 -j LOG --log-prefix quo\\\"te --log-level debug",
    "-s 10.90.0.2 -m limit --limit 5/minute -j LOG",
    "-s 10.90.0.2 -m limit --limit 300/hour --limit-burst 7 -j LOG",
    "-s 10.90.0.2 -m limit --limit 1/s -j LOG",
    "-s 10.90.0.3 -p tcp --dport https -j DROP",
    "-s 10.90.0.3 -p tcp --sport ssh --dport 1024: -j DROP",
    "-s 10.90.0.3 -p udp --dport domain -j DROP",
    "-s 10.90.0.3 -p tcp --dport :1023 -j DROP",
    "-s 10.90.0.3 -p tcp --dport 0:65535 -j DROP",
    "-s 10.90.0.4 -p tcp --syn -j DROP",
    "-s 10.90.0.4 -p tcp ! --syn -j DROP",
    "-s 10.90.0.4 -p tcp --tcp-flags ALL NONE -j DROP",
    "-s 10.90.0.4 -p tcp --tcp-flags SYN,RST,ACK,FIN SYN -j DROP",
    "-s 10.90.0.4 -p tcp --tcp-option 8 -j DROP",
    "-s 10.90.0.5 -p icmp --icmp-type echo-request -j DROP",
    "-s 10.90.0.5 -p icmp --icmp-type ping -j DROP",
    "-s 10.90.0.5 -p icmp --icmp-type network-unreachable -j DROP",
    "-s 10.90.0.5 -p icmp --icmp-type any -j DROP",
    "-s 10.90.0.6 -p 6 -j DROP",
    "-s 10.90.0.6 -p TCP --dport 25 -j DROP",
    "-s 10.90.0.6 -p all -j DROP",
    "-s 10.90.0.6 ! -p 17 -j DROP",
    "-s 10.90.0.6 -p 89 -j DROP",
    "-s 10.90.0.7,10.90.0.8 -j DROP",
    "-s 10.90.0.7,10.90.1.0/24 -d 192.0.2.0/24,198.51.100.1 -j DROP",
    "--source 10.90.2.0/255.255.255.0 -j DROP",
    "--src 10.90.3.77/24 --dst 192.0.2.9/28 -j DROP",
    "! --source 0.0.0.0/1 -d 10.90.0.9 --jump DROP",
    "-s 10.90.0.10 -p tcp -m multiport --dports http,https,8000:8100 -j DROP",
    "-s 10.90.0.10 -p tcp -m multiport ! --ports 22,80 -j DROP",
    "-s 10.90.0.11 -p tcp -m connlimit --connlimit-above 20 -j REJECT --reject-with tcp-reset",
    "-s 10.90.0.12 -m recent --name seen --set -j DROP",
    "-s 10.90.0.12 -m recent --update --seconds 60 --hitcount 4 --name seen -j DROP",
    "-s 10.90.0.13 -m time --timestart 10:00 --timestop 12:00 --weekdays Mon,Tue -j DROP",
    "-s 10.90.0.14 -m mark --mark 1 -j DROP",
    "-s 10.90.0.14 -m mark ! --mark 0x10/0xff -j DROP",
    "-s 10.90.0.15 -m mac --mac-source aa:bb:cc:dd:ee:0f -j DROP",
    "-s 10.90.0.16 -m statistic --mode random --probability 0.25 -j DROP",
    "-s 10.90.0.16 -m statistic --mode nth --every 3 -j DROP",
    "-s 10.90.0.17 -f -j DROP",
    "-s 10.90.0.18 -j REJECT --reject-with host-prohib",
    "-s 10.90.0.18 -j REJECT --reject-with admin-prohib",
    "-s 10.90.0.19 -m conntrack --ctstate DNAT,NEW,INVALID -j DROP",
    "-s 10.90.0.19 -m state --state INVALID -j DROP",
    "-s 10.90.0.19 -m conntrack --ctstate NEW --ctproto tcp --ctorigdstport 80 -j DROP",
    "-s 10.90.0.20 -m comment --comment 'it'\\''s a \"rule\"; $(id)' -j DROP",
    "-s 10.90.0.20 -m comment --comment '' -j DROP",
    "-s 10.90.0.21 -m iprange --dst-range 192.0.2.1-192.0.2.9 -j DROP",
    "-s 10.90.0.22 -m hashlimit --hashlimit-above 10/sec --hashlimit-name hl --hashlimit-mode srcip -j DROP",
    "-s 10.90.0.23 -m pkttype --pkt-type multicast -j DROP",
    "-s 10.90.0.24 -m length --length 1000: -j DROP",
    "-s 10.90.0.25 -m ttl --ttl-lt 3 -j DROP",
    "-s 10.90.0.26 -m dscp --dscp-class EF -j DROP",
    "-s 10.90.0.27 -m string --string abc --algo bm -j DROP",
    "-s 10.90.0.28 -m addrtype --dst-type LOCAL,BROADCAST -j DROP",
    "-i eth+ -o wlan0 -s 10.90.0.29 -j DROP",
    "-s 10.90.0.30 -m limit --limit 3/day",
    "-s 10.90.0.31 -j NFLOG --nflog-group 3 --nflog-prefix p",
    "-m tcp -p tcp -s 10.90.0.32 --dport 80 -j DROP",
];

/// Rules for `filter DOCKER-USER` in IPv6.
pub const SPELLINGS6: &[&str] = &[
    "-s 2001:0db8:0000:0000::1 -j DROP",
    "-s 2001:DB8::/ffff:ffff:: -j DROP",
    "-s ::ffff:192.0.2.1 -j DROP",
    "-p icmpv6 -s 2001:db8::2 --icmpv6-type echo-request -j DROP",
    "-p 58 -s 2001:db8::3 -j DROP",
    "-s 2001:db8::4 -j REJECT --reject-with adm-prohibited",
    "-s 2001:db8::5,2001:db8::6 -j DROP",
    "-s 2001:db8::7 -m hl --hl-lt 5 -j LOG --log-level info",
];

/// A hundred rules more, put together from what they can be made of: each word in one of its spellings.
pub fn generated() -> Vec<String> {
    let sources = [
        "-s 10.91.0.{n}",
        "--source 10.91.{n}.0/255.255.255.0",
        "--src 10.91.{n}.9/24",
        "-s 10.91.0.{n},10.91.1.{n}",
        "-s 10.91.0.{n}/32 -d 0/0",
    ];
    let protocols = [
        "",
        "-p 6 -m tcp",
        "-p TCP --syn",
        "-p tcp --dport ftp:telnet",
        "-p udp --sport 53 --dport ntp",
        "-p icmp --icmp-type 8/0",
        "-p tcp --tcp-flags SYN,ACK SYN",
        "-p tcp -m multiport --sports 1,2:9,smtp",
        "-p sctp --dport 5000",
    ];
    let matches = [
        "",
        "-m limit --limit 2/min",
        "-m mark --mark 0x0f",
        "-m conntrack --ctstate NEW,RELATED",
        "-m state ! --state ESTABLISHED,RELATED",
        "-m comment --comment 'n {n}, \"q\"'",
        "-m connlimit --connlimit-upto 3 --connlimit-mask 24",
        "-i eth+",
        "! -o lo",
        "-m time --datestart 2030-01-01",
        "-m connmark --mark 3",
    ];
    let targets = [
        "-j DROP",
        "--jump DROP",
        "-j REJECT",
        "-j REJECT --reject-with icmp-net-unreachable",
        "-j REJECT --reject-with proto-unreach",
        "-j REJECT --reject-with net-prohib",
    ];
    (1..=100)
        .map(|n: usize| {
            let parts = [
                sources[n % sources.len()],
                protocols[n % protocols.len()],
                matches[n % matches.len()],
                targets[n % targets.len()],
            ];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            parts
                .map(|part| part.replace("{n}", &n.to_string()))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}
