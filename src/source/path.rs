//! Paths as text with `/`, the same on every platform.

/// The folder that holds `path`; empty for a bare name.
pub fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |i| if i == 0 { "/" } else { &path[..i] })
}

/// The last part of `path`.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `relative` seen from `folder`, with `.` and `..` resolved where that is possible.
pub fn join(folder: &str, relative: &str) -> String {
    if relative.starts_with('/') || folder.is_empty() {
        return normal(relative);
    }
    normal(&format!("{folder}/{relative}"))
}

/// `path` without `.`, empty parts, and `..` that a part before it cancels.
pub fn normal(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if absolute => {}
                _ => parts.push(".."),
            },
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_normalises() {
        assert_eq!(join("a/b", "./c.exp"), "a/b/c.exp");
        assert_eq!(join("a/b", "../c.exp"), "a/c.exp");
        assert_eq!(join("", "../c.exp"), "../c.exp");
        assert_eq!(join("a", "/c.exp"), "/c.exp");
        assert_eq!(folder("a/b.exp"), "a");
        assert_eq!(folder("b.exp"), "");
        assert_eq!(name("a/b.exp"), "b.exp");
    }
}
