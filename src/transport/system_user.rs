//! Who runs this program.

use std::env;
use std::process::Command;

/// The name of the user who runs this program.
pub(super) fn system_user() -> Option<String> {
    let named = |name: &str| env::var(name).ok().filter(|user| !user.is_empty());
    if let Some(user) = named("USER").or_else(|| named("LOGNAME")) {
        return Some(user);
    }
    // A service or a container may have neither; the system's own answer comes from its list of users.
    let answer = Command::new("id")
        .arg("-un")
        .output()
        .ok()
        .filter(|it| it.status.success());
    let user = answer.and_then(|it| String::from_utf8(it.stdout).ok())?;
    let user = user.trim();
    (!user.is_empty()).then(|| user.to_owned())
}
