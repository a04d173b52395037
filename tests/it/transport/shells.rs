//! Login shells: the script is the same whatever the user types at.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::Destination;
use fwdeploy::transport::Executed;
use fwdeploy::transport::Privilege;
use fwdeploy::transport::RunError;
use fwdeploy::transport::ShellEnd;

use crate::transport::sshd::Sshd;
use crate::transport::sshd::run;

#[test]
fn every_login_shell_runs_the_same_script() {
    let shells = [
        "/bin/sh",
        "/bin/bash",
        "/usr/bin/zsh",
        "/usr/bin/fish",
        "/bin/csh",
        "/usr/bin/csh",
    ];
    let shells: Vec<&str> = shells
        .into_iter()
        .filter(|shell| Path::new(shell).exists())
        .collect();
    let mut passwd = String::new();
    for (index, shell) in shells.iter().enumerate() {
        passwd += &format!("user{index}:*:{}:65500::/tmp:{shell}\n", 65_000 + index);
    }
    let Some(sshd) = Sshd::with_users(&passwd, "") else {
        return;
    };
    let key = sshd.key("login", &["-t", "ed25519"]);
    for (index, shell) in shells.iter().enumerate() {
        let user = Some(format!("user{index}"));
        let destination = Destination {
            user,
            key_file: Some(key.clone()),
            ..sshd.destination()
        };
        let mut connection = sshd.try_connect(&destination).unwrap();
        let output = run(connection.as_mut(), "x='a b'; echo \"$x!\" $(id -u)").unwrap();
        let wanted = format!("a b! {}\n", 65_000 + index);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted, "{shell}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{shell}");
        assert_eq!(output.status, 0, "{shell}");
    }
}

#[test]
fn a_shell_that_lets_nobody_in_is_told() {
    let passwd = "ops:*:65001:65500::/tmp:/usr/sbin/nologin\n";
    let Some(sshd) = Sshd::with_users(passwd, "") else {
        return;
    };
    let key_file = Some(sshd.key("login", &["-t", "ed25519"]));
    let destination = Destination {
        user: Some("ops".to_owned()),
        key_file,
        ..sshd.destination()
    };
    let error = run(sshd.try_connect(&destination).unwrap().as_mut(), "true").unwrap_err();
    assert!(
        matches!(
            error,
            RunError::Shell {
                end: ShellEnd::Status(1),
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("not available"), "{error}");
}

#[test]
fn a_talkative_bashrc_is_not_in_the_output() {
    let home = tempfile::tempdir().unwrap();
    let passwd = format!("ops:*:65001:65500::{}:/bin/bash\n", home.path().display());
    let Some(sshd) = Sshd::with_users(&passwd, "") else {
        return;
    };
    let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(home.path(), open).unwrap();
    let noise =
        "echo Welcome back; echo You have mail >&2; alias exec=false; printf 'no line end'\n";
    fs::write(home.path().join(".bashrc"), noise).unwrap();
    let key_file = Some(sshd.key("login", &["-t", "ed25519"]));
    let destination = Destination {
        user: Some("ops".to_owned()),
        key_file,
        ..sshd.destination()
    };
    let output = run(
        sshd.try_connect(&destination).unwrap().as_mut(),
        "echo ok; echo warn >&2",
    )
    .unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"ok\n"[..], &b"warn\n"[..])
    );
}

#[test]
fn what_a_login_shell_does_in_place_of_its_command_is_not_blamed_on_sudo() {
    let homes: Vec<tempfile::TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut passwd = String::new();
    for (index, home) in homes.iter().enumerate() {
        let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(home.path(), open).unwrap();
        let shell = if index == 2 {
            "/usr/sbin/nologin"
        } else {
            "/bin/bash"
        };
        let uid = 65_001 + index;
        passwd += &format!(
            "ops{index}:*:{uid}:65500::{}:{shell}\n",
            home.path().display()
        );
    }
    fs::write(
        homes[0].path().join(".bashrc"),
        "echo no shell for you >&2; exit 3\n",
    )
    .unwrap();
    fs::write(homes[1].path().join(".bashrc"), "exec cat\n").unwrap();
    let Some(sshd) = Sshd::with_users(&passwd, "ALL ALL=(ALL:ALL) NOPASSWD: ALL\n") else {
        return;
    };
    let key = sshd.key("login", &["-t", "ed25519"]);
    let limit = Duration::from_secs(3);
    let met = |index: usize| {
        let destination = Destination {
            user: Some(format!("ops{index}")),
            key_file: Some(key.clone()),
            privilege: Privilege::Sudo {
                user: "root".to_owned(),
            },
            ..sshd.destination()
        };
        let mut connection = sshd.try_connect(&destination).unwrap();
        let error = connection.run("id", limit, &mut |_| {}, &Cancel::new());
        error.unwrap_err()
    };
    let ends = [
        (ShellEnd::Status(3), "no shell for you"),
        (ShellEnd::StillRunning(limit), "ran for 3s"),
        (ShellEnd::Status(1), "not available"),
    ];
    for (index, (wanted, said)) in ends.into_iter().enumerate() {
        let error = met(index);
        let RunError::Shell { end, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(end, wanted, "{index}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_string().contains("become root"), "{error}");
        assert_eq!(error.executed(), Executed::Never);
    }
}
