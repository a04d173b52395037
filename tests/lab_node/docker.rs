//! Containers come to their networks.

use fwdeploy::model::state::Endpoint;
use fwdeploy::plan::Action;
use fwdeploy::plan::action::NetworkSpec;

use crate::node::assert_same;
use crate::node::on_every_node;
use crate::plans::cidr;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn containers_are_attached_running_or_not_and_from_none() {
    on_every_node(|node| {
        node.sh("docker rm -f idle none >/dev/null 2>&1; docker network rm side >/dev/null 2>&1; docker create --name idle fwdeploy-lab:latest >/dev/null; docker run -d --name none --network none fwdeploy-lab:latest >/dev/null");
        // Docker closes the forwarding of IPv6 when it is first asked for.
        node.sh("docker network create --ipv6 --subnet fd00:6::/64 v6 >/dev/null 2>&1 && docker network rm v6 >/dev/null || :");
        // Before 28 Docker restores the rules of a deleted network at a reload (moby#50445), until that network is created
        // again: some may be there from an earlier test. Docker 28 was once seen to leave its rules for the other networks in another order.
        let kernel = || -> String {
            let kernel = node.kernel();
            let mut lines: Vec<&str> = kernel.lines().filter(|l| !l.contains("br-side")).collect();
            lines.sort_unstable();
            lines.into_iter().flat_map(|l| [l, "\n"]).collect()
        };
        let start = kernel();
        let network = Action::CreateNetwork(NetworkSpec {
            name: "side".to_string(),
            subnets: vec![cidr("172.31.5.0/24"), cidr("fd00:5::/64")],
            gateways: vec!["172.31.5.1".parse().unwrap(), "fd00:5::1".parse().unwrap()],
            ipv6: true,
            options: vec![(
                "com.docker.network.bridge.name".to_string(),
                "br-side".to_string(),
            )],
            labels: vec![("a-label".to_string(), "it's \"x\" $y".to_string())],
            ..NetworkSpec::default()
        });
        let endpoint = |last: u8, fixed: bool| Endpoint {
            network: "side".to_string(),
            fixed: fixed.then(|| format!("172.31.5.{last}").parse().unwrap()),
            fixed6: fixed.then(|| format!("fd00:5::{last}").parse().unwrap()),
            aliases: vec!["other-name".to_string()],
            ..Endpoint::default()
        };
        let connect = |container: &str, last: u8| Action::Connect {
            container: container.to_string(),
            endpoint: endpoint(last, true),
        };
        let leave_none = Action::Disconnect {
            container: "none".to_string(),
            endpoint: Endpoint {
                network: "none".to_string(),
                ..Endpoint::default()
            },
        };
        let actions = [
            network.clone(),
            connect("one", 9),
            connect("idle", 8),
            leave_none,
            connect("none", 7),
        ];
        node.take(&actions);
        let told = node.sh("docker start idle >/dev/null; for c in one idle none; do docker inspect -f '{{with .NetworkSettings.Networks.side}}{{.IPAddress}} {{.GlobalIPv6Address}} {{.Aliases}}{{end}}' $c; done; docker network inspect -f '{{json .Labels}}' side; ip -br link show br-side");
        let lines: Vec<&str> = told.lines().collect();
        for (line, last) in lines.iter().zip([9, 8, 7]) {
            assert!(
                line.starts_with(&format!("172.31.5.{last} fd00:5::{last} [other-name")),
                "{}: {told}",
                node.name
            );
        }
        assert_eq!(lines[3], r#"{"a-label":"it's \"x\" $y"}"#);
        assert!(lines[4].starts_with("br-side"), "{told}");
        // An address that is in use, the gateway's, one outside the network: Docker would leave each of them in
        // the container's settings.
        let settings = || node.sh("docker inspect -f '{{json .NetworkSettings.Networks}}' three");
        let before = settings();
        let mut taken = connect("three", 9);
        let answer = node.refuses(std::slice::from_ref(&taken));
        assert_eq!(
            answer,
            "172.31.5.9 on network side is taken by container one; nothing was changed"
        );
        for (last, fixed) in [(1, None), (6, Some("172.31.99.1".parse().unwrap()))] {
            let mut action = connect("three", last);
            if let (Action::Connect { endpoint, .. }, Some(_)) = (&mut action, fixed) {
                endpoint.fixed = fixed;
            }
            let answer = node.refuses(&[action]);
            assert!(
                answer.starts_with("docker did not attach the container:\n")
                    && !answer.contains("still name"),
                "{answer}"
            );
        }
        assert_eq!(before, settings());
        if let Action::Connect { container, .. } = &mut taken {
            *container = "nobody".to_string();
        }
        if let Action::Connect { endpoint, .. } = &mut taken {
            endpoint.fixed = None;
            endpoint.fixed6 = None;
        }
        assert!(node.refuses(&[taken]).contains("No such container: nobody"));
        assert!(
            node.refuses(&[network.undo()])
                .contains("has active endpoints")
        );
        assert!(
            node.refuses(std::slice::from_ref(&network))
                .contains("already exists")
        );
        node.sh("docker stop -t 0 idle >/dev/null");
        node.take_back(&actions);
        assert_eq!(node.sh("docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' none"), "none\n");
        assert_same(&start, &kernel(), node);
        node.sh("docker rm -f idle none >/dev/null");
    });
}
