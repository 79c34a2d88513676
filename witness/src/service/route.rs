//! Paths. One spelling each; whatever does not format back to itself is none.

use tlog::hash::Hash;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/add-checkpoint`.
    AddCheckpoint,
    /// `/sign-subtree`.
    SignSubtree,
    /// `/<origin hash>/checkpoint`.
    Checkpoint(Hash),
    /// `/evidence`.
    Evidence,
    /// `/evidence/<id>`.
    EvidenceFile(Hash),
    /// `/witness.json`.
    Description,
    /// `/`.
    Start,
}

impl Route {
    pub(super) fn parse(path: &str) -> Option<Self> {
        match path {
            "/add-checkpoint" => Some(Self::AddCheckpoint),
            "/sign-subtree" => Some(Self::SignSubtree),
            "/evidence" => Some(Self::Evidence),
            "/witness.json" => Some(Self::Description),
            "/" => Some(Self::Start),
            _ => {
                if let Some(id) = path.strip_prefix("/evidence/") {
                    return Some(Self::EvidenceFile(id.parse().ok()?));
                }
                let hash = path.strip_prefix('/')?.strip_suffix("/checkpoint")?;
                Some(Self::Checkpoint(hash.parse().ok()?))
            }
        }
    }

    /// The metric label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::AddCheckpoint => "add_checkpoint",
            Self::SignSubtree => "sign_subtree",
            Self::Checkpoint(_) => "checkpoint",
            Self::Evidence => "evidence",
            Self::EvidenceFile(_) => "evidence_file",
            Self::Description => "description",
            Self::Start => "start",
        }
    }

    pub(super) fn takes_post(&self) -> bool {
        matches!(self, Self::AddCheckpoint | Self::SignSubtree | Self::Evidence)
    }

    pub(super) fn takes_get(&self) -> bool {
        !matches!(self, Self::AddCheckpoint | Self::SignSubtree)
    }

    /// For the `Allow` header.
    pub(super) fn methods(&self) -> &'static str {
        match (self.takes_get(), self.takes_post()) {
            (true, true) => "GET, HEAD, POST",
            (false, _) => "POST",
            (true, false) => "GET, HEAD",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        let hash = "a".repeat(64);
        assert!(Route::parse(&format!("/{hash}/checkpoint")).is_some());
        for path in [
            "",
            "//",
            "/add-checkpoint/",
            "/Add-checkpoint",
            "/evidence/",
            &format!("/evidence/{}", hash.to_uppercase()),
            "/add%2dcheckpoint",
            &format!("/{}/checkpoint", hash.to_uppercase()),
            &format!("/{}/checkpoint", &hash[1..]),
            &format!("/{hash}/checkpoint/"),
            &format!("//{hash}/checkpoint"),
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }
}
