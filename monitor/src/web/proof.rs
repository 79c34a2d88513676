//! The proof of an entry, step by step and as a drawing: what is joined with what, up to the signed root.

use maud::{Markup, html};
use tlog::hash::{Hash, node_hash};

use super::texts::{Texts, fill};
use super::view::Inclusion;

/// One step: the hash so far is joined with its neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The neighbour.
    pub(super) neighbour: Hash,
    /// Whether the neighbour is on the left.
    pub(super) on_left: bool,
    /// What comes out.
    pub(super) joined: Hash,
}

/// The steps from a leaf to the root (RFC 9162, 2.1.3.2). Whether they end at the signed root shows what the last one gives.
pub(super) fn steps(leaf: &Hash, inclusion: &Inclusion) -> Vec<Step> {
    let (mut at, mut last) = (inclusion.index.get(), inclusion.head.size.get().saturating_sub(1));
    let mut hash = *leaf;
    let mut steps = Vec::with_capacity(inclusion.hashes.len());
    for neighbour in &inclusion.hashes {
        let on_left = at % 2 == 1 || at == last;
        if on_left && at % 2 == 0 {
            // On the right edge there is no neighbour on these levels.
            while at % 2 == 0 && at != 0 {
                at /= 2;
                last /= 2;
            }
        }
        hash = if on_left { node_hash(neighbour, &hash) } else { node_hash(&hash, neighbour) };
        steps.push(Step { neighbour: *neighbour, on_left, joined: hash });
        at /= 2;
        last /= 2;
    }
    steps
}

/// The walk from the entry to the signatures.
pub(super) fn walk(texts: &Texts, leaf: &Hash, inclusion: &Inclusion) -> Markup {
    let steps = steps(leaf, inclusion);
    let root = inclusion.head.root;
    let signers: Vec<String> =
        inclusion.checkpoint.signatures().iter().map(|line| line.name().to_string()).collect();
    html! {
        p { (texts.proof_lead) }
        div.scroll tabindex="0" role="group" aria-label=(texts.proof_drawing_label(inclusion)) { (drawing(texts, leaf, inclusion, &steps)) }
        ol {
            li { (texts.proof_leaf) ": " span.hash { (leaf) } }
            @for (number, step) in (1..).zip(&steps) {
                @let side = if step.on_left { texts.proof_step_left } else { texts.proof_step_right };
                li { (fill(side, &[&number.to_string()])) " " span.hash { (step.neighbour) } " → " span.hash { (step.joined) } }
            }
            li { strong { (texts.proof_root) } ": " span.hash { (root) } }
        }
        p { (texts.proof_signed) ": " (signers.join(", ")) }
    }
}

impl Texts {
    fn proof_drawing_label(&self, inclusion: &Inclusion) -> String {
        fill(self.proof_drawing, &[&inclusion.index.to_string(), &inclusion.head.size.to_string()])
    }
}

const ROW: f64 = 62.0;
const WIDTH: f64 = 660.0;
const BOX_WIDTH: f64 = 250.0;
const BOX_HEIGHT: f64 = 30.0;
const MIDDLE: f64 = WIDTH / 2.0;

/// The root above, the entry below; on each level the hash so far and its neighbour.
fn drawing(texts: &Texts, leaf: &Hash, inclusion: &Inclusion, steps: &[Step]) -> Markup {
    let rows = steps.len() as f64;
    let height = rows * ROW + BOX_HEIGHT + 8.0;
    let level = |number: usize| height - BOX_HEIGHT - 4.0 - number as f64 * ROW;
    let (left, right) = (MIDDLE - 150.0, MIDDLE + 150.0);
    // Where the hash so far stands: beside its neighbour on every level but the last.
    let own =
        |number: usize| steps.get(number).map_or(MIDDLE, |step| if step.on_left { right } else { left });
    let hash_at = |number: usize| if number == 0 { *leaf } else { steps[number - 1].joined };
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(texts.proof_drawing_label(inclusion)) {
            @for (number, step) in steps.iter().enumerate() {
                @let (y, up) = (level(number), level(number + 1) + BOX_HEIGHT);
                @let other = if step.on_left { left } else { right };
                line.edge-path x1=(own(number)) y1=(y) x2=(own(number + 1)) y2=(up) {}
                line.edge x1=(other) y1=(y) x2=(own(number + 1)) y2=(up) {}
                (hash_box(other, y, &step.neighbour, false))
            }
            @for number in 0..=steps.len() { (hash_box(own(number), level(number), &hash_at(number), true)) }
        }
    }
}

fn hash_box(x: f64, y: f64, hash: &Hash, on_path: bool) -> Markup {
    let text = hash.to_string();
    let short = format!("{}…{}", &text[..14], &text[58..]);
    let (shape, letters) = if on_path { ("path", "on-path") } else { ("node", "") };
    html! {
        rect class=(shape) x=(x - BOX_WIDTH / 2.0) y=(y) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="5" { title { (text) } }
        text class=(letters) x=(x) y=(y + 20.0) text-anchor="middle" { (short) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tlog::checkpoint::Checkpoint;
    use tlog::hash::leaf_hash;
    use tlog::ids::{LeafIndex, TreeHead, TreeSize};
    use tlog::note::Note;
    use tlog::proof::{check_inclusion, plan_inclusion};
    use tlog::sign::Ed25519Signer;
    use tlog::tree::root_of;

    use super::*;

    pub(in crate::web) fn inclusion(index: u64, leaves: &[Hash]) -> Inclusion {
        let size = TreeSize::new(leaves.len() as u64).unwrap();
        let head = TreeHead { size, root: root_of(leaves) };
        let place = LeafIndex::new(index).unwrap();
        let plan = plan_inclusion(place, size).unwrap();
        let range = |range: std::ops::Range<u64>| {
            root_of(&leaves[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
        };
        let nodes: Vec<Hash> = plan.nodes().iter().map(|node| range(node.leaves())).collect();
        let hashes = plan.finish(&nodes).unwrap();
        let text = Checkpoint::new("log.example".parse().unwrap(), head).to_text();
        let signer = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[1; 32]);
        let checkpoint = Note::new(text.clone(), vec![signer.sign(&text)]).unwrap();
        Inclusion { index: place, head, hashes, checkpoint }
    }

    #[test]
    fn the_steps_of_every_entry_of_every_small_tree_lead_to_the_root() {
        for size in 1..40_u64 {
            let leaves: Vec<Hash> = (0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect();
            for index in 0..size {
                let inclusion = inclusion(index, &leaves);
                let leaf = leaves[usize::try_from(index).unwrap()];
                check_inclusion(&leaf, inclusion.index, &inclusion.head, &inclusion.hashes).unwrap();
                let steps = steps(&leaf, &inclusion);
                let end = steps.last().map_or(leaf, |step| step.joined);
                assert_eq!(end, inclusion.head.root, "entry {index} of {size}");
            }
        }
    }
}
