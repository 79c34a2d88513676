use super::*;
use crate::registry::tests::world;
use crate::statement::{Body, FieldClass, FieldRule, FieldType, Tombstone};

fn opening(value: &str, salt: u8) -> Opening {
    Opening {
        name: "beneficiary".parse().unwrap(),
        kind: FieldType::String,
        value: Value::from(value),
        salt: Salt::new([salt; 32]),
    }
}

/// A record of an opaque key with an erasable field and an erasable attachment.
fn record() -> Record {
    let mut record =
        world::record("a.gov.example", "grants", &"ab".repeat(16), None, r#"{"amount":"10.00"}"#);
    let place = Place::of(&record);
    let (name, media): (Line, Line) = ("letter.pdf".parse().unwrap(), "application/pdf".parse().unwrap());
    let salt = Salt::new([8; 32]);
    let commitment = place.commit_attachment(&name, &media, 5, &salt, &sha256(b"%PDF-"));
    let content = record.content.as_mut().unwrap();
    content.erasable.insert("beneficiary".to_owned(), place.commit_field(&opening("Ada", 7)));
    content.attachments.push(Attachment {
        name,
        media,
        bytes: 5,
        content: AttachmentContent::Erasable(commitment),
    });
    record
}

fn grants() -> Body {
    let mut grants = world::register("a.gov.example", "grants");
    grants.keys = crate::statement::KeyRule::Opaque;
    let rule = |class| FieldRule { class, kind: FieldType::String, required: true };
    grants
        .fields
        .insert("amount".to_owned(), FieldRule { kind: FieldType::Decimal, ..rule(FieldClass::Public) });
    grants.fields.insert("beneficiary".to_owned(), rule(FieldClass::Erasable));
    grants.attachments = vec![FieldClass::Erasable];
    Body::Register(grants)
}

#[test]
fn a_value_opens_its_commitment_and_no_other_value_name_type_salt_or_record_does() {
    let record = record();
    assert!(opens_field(&record, &opening("Ada", 7)));
    assert!(!opens_field(&record, &opening("Bob", 7)));
    assert!(!opens_field(&record, &opening("Ada", 8)));
    let renamed = Opening { name: "applicant".parse().unwrap(), ..opening("Ada", 7) };
    assert!(!opens_field(&record, &renamed));
    assert!(!opens_field(&record, &Opening { kind: FieldType::Any, ..opening("Ada", 7) }));
    let mut elsewhere = record.clone();
    elsewhere.key = "cd".repeat(16).parse().unwrap();
    assert!(!opens_field(&elsewhere, &opening("Ada", 7)), "copied to another record");
    let text = field_to_text(&opening("Ada", 7));
    assert_eq!(parse_field(&text).unwrap(), opening("Ada", 7));
    assert!(parse_field(&text.replace("Ada", "A\\u0064a")).is_err());
}

#[test]
fn an_attachment_opens_with_its_salt_alone() {
    let record = record();
    let attachment = record.content.as_ref().unwrap().attachments[0].clone();
    let opens =
        |salt: Option<&Salt>, bytes: &[u8]| opens_attachment(&record, &attachment, salt, &sha256(bytes));
    assert!(opens(Some(&Salt::new([8; 32])), b"%PDF-"));
    assert!(!opens(Some(&Salt::new([9; 32])), b"%PDF-"));
    assert!(!opens(Some(&Salt::new([8; 32])), b"%PDF+"));
    assert!(!opens(None, b"%PDF-"));
    let public = Attachment { content: AttachmentContent::Public(sha256(b"%PDF-")), ..attachment.clone() };
    assert!(opens_attachment(&record, &public, None, &sha256(b"%PDF-")));
    assert!(!opens_attachment(&record, &public, None, &sha256(b"other")));
}

#[test]
fn what_goes_with_an_attachment_belongs_to_one_file_name_and_record() {
    let record = record();
    let opening = AttachmentOpening {
        place: Place::of(&record),
        name: "letter.pdf".parse().unwrap(),
        media: "application/pdf".parse().unwrap(),
        bytes: 5,
        salt: Salt::new([8; 32]),
        sha256: sha256(b"%PDF-"),
    };
    assert!(opening.is_of(&record));
    assert_eq!(opening.attachment(), record.content.as_ref().unwrap().attachments[0]);
    let text = opening.to_text();
    assert_eq!(AttachmentOpening::parse(&text).unwrap(), opening);
    for (from, to) in
        [("\"bytes\":5", "\"bytes\":5.0"), ("{", "{ "), ("application/pdf", "PDF"), ("}\n", "}")]
    {
        assert!(AttachmentOpening::parse(&text.replace(from, to)).is_err(), "{to}");
    }
    let mut elsewhere = record.clone();
    elsewhere.key = "cd".repeat(16).parse().unwrap();
    let others = [
        AttachmentOpening { bytes: 6, ..opening.clone() },
        AttachmentOpening { name: "other.pdf".parse().unwrap(), ..opening.clone() },
        AttachmentOpening { media: "text/plain".parse().unwrap(), ..opening.clone() },
        AttachmentOpening { salt: Salt::new([9; 32]), ..opening.clone() },
        AttachmentOpening { sha256: sha256(b"%PDF+"), ..opening.clone() },
        AttachmentOpening { place: Place::of(&elsewhere), ..opening.clone() },
    ];
    for other in others {
        assert_ne!(other.commitment(), opening.commitment());
        assert!(!other.is_of(&record));
    }
    assert!(!opening.is_of(&elsewhere), "copied to another record, commitment and all");
}

#[test]
fn a_tombstone_takes_two_officers_and_names_what_is_there() {
    let mut world = world::World::new();
    let officers = world::signers("a.gov.example", &["alice", "amir"]);
    let publisher = world::signers("a.gov.example", &["publisher"]);
    world.admit(&grants(), &officers);
    let record = record();
    let entry = world.admit(&Body::Record(record.clone()), &publisher);
    let tombstone = |entry: EntryRef, previous, erased: &[&str]| {
        Body::Tombstone(Tombstone {
            agency: record.agency.clone(),
            register: record.register.clone(),
            key: record.key.clone(),
            at: "2026-03-01T00:00:00Z".parse().unwrap(),
            log: record.log.clone(),
            previous,
            entry,
            erased: erased.iter().map(|erased| erased.parse().unwrap()).collect(),
            basis: "Court of Appeal, case 12/2026".parse().unwrap(),
        })
    };
    let good = tombstone(entry, None, &["/erasable/beneficiary"]);
    assert_eq!(world.refusal(&good, &officers[..1]), "quorum");
    assert_eq!(world.refusal(&good, &publisher), "key_role");
    // An agency whose own quorum is one still needs two.
    let mut single = good.clone();
    if let Body::Tombstone(body) = &mut single {
        body.agency = "b.gov.example".parse().unwrap();
    }
    assert_eq!(world.refusal(&single, &world::signers("b.gov.example", &["bob-p256"])), "quorum");
    for (entry, erased, code) in [
        (entry, "/erasable/amount", "nothing_to_erase"),
        (entry, "/sealed", "nothing_to_erase"),
        (entry, "/attachments/other.pdf", "nothing_to_erase"),
        (EntryRef { index: world.next(), ..entry }, "/erasable/beneficiary", "tombstone_entry"),
        (EntryRef { leaf: sha256(b""), ..entry }, "/erasable/beneficiary", "tombstone_entry"),
    ] {
        assert_eq!(world.refusal(&tombstone(entry, None, &[erased]), &officers), code, "{erased}");
    }
    let first = world.admit(&good, &officers);
    assert_eq!(
        world.refusal(&tombstone(entry, None, &["/attachments/letter.pdf"]), &officers),
        "stale_previous"
    );
    // The record itself goes on; its chain does not know the tombstone.
    let mut next = record.clone();
    next.previous = Some(entry.leaf);
    world.admit(&Body::Record(next), &publisher);
    let second = world.admit(&tombstone(entry, Some(first.leaf), &["/attachments/letter.pdf"]), &officers);

    let content = record.content.as_ref().unwrap();
    let mut erasures = Erasures::default();
    assert_eq!(erasures.remaining(content).len(), 2);
    erasures.add(first, &["/erasable/beneficiary".parse().unwrap()]);
    assert_eq!(erasures.of(&"/erasable/beneficiary".parse().unwrap()), Some(first));
    assert_eq!(erasures.remaining(content), ["/attachments/letter.pdf".parse().unwrap()]);
    erasures
        .add(second, &["/attachments/letter.pdf".parse().unwrap(), "/erasable/beneficiary".parse().unwrap()]);
    assert_eq!(erasures.of(&"/erasable/beneficiary".parse().unwrap()), Some(first), "the first one stays");
    assert_eq!(erasures.remaining(content), []);
}

#[test]
fn an_erasable_field_never_turns_public() {
    let mut world = world::World::new();
    let officers = world::signers("a.gov.example", &["alice", "amir"]);
    let opened = world.admit(&grants(), &officers);
    let Body::Register(mut amended) = grants() else { unreachable!() };
    amended.previous = Some(opened.leaf);
    amended.fields.get_mut("beneficiary").unwrap().class = FieldClass::Public;
    assert_eq!(world.refusal(&Body::Register(amended.clone()), &officers), "field_more_public");
    let mut words = amended.clone();
    words.keys = crate::statement::KeyRule::Public;
    assert_eq!(world.refusal(&Body::Register(words), &officers), "key_rule_changed");
    // Not by declaring nothing either, which otherwise admits anything.
    amended.fields.clear();
    world.admit(&Body::Register(amended), &officers);
    let leak = world::record("a.gov.example", "grants", &"ab".repeat(16), None, r#"{"beneficiary":"Ada"}"#);
    let publisher = world::signers("a.gov.example", &["publisher"]);
    assert_eq!(world.refusal(&Body::Record(leak), &publisher), "content_undeclared");
}

#[test]
fn a_register_with_opaque_keys_takes_neither_words_nor_titles() {
    let mut world = world::World::new();
    world.admit(&grants(), &world::signers("a.gov.example", &["alice", "amir"]));
    let publisher = world::signers("a.gov.example", &["publisher"]);
    let mut named = record();
    named.key = "ada-lovelace".parse().unwrap();
    assert_eq!(world.refusal(&Body::Record(named), &publisher), "key_not_opaque");
    let mut titled = record();
    titled.content.as_mut().unwrap().title = Some("Grant to Ada".parse().unwrap());
    assert_eq!(world.refusal(&Body::Record(titled), &publisher), "title_not_allowed");
    let mut bare = record();
    bare.content.as_mut().unwrap().erasable.clear();
    assert_eq!(world.refusal(&Body::Record(bare), &publisher), "content_required");
    let mut public = record();
    public.content.as_mut().unwrap().attachments[0].content = AttachmentContent::Public(sha256(b"%PDF-"));
    assert_eq!(world.refusal(&Body::Record(public), &publisher), "attachment_class");
    world.admit(&Body::Record(record()), &publisher);
}
