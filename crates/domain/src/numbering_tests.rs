use proptest::prelude::*;

use super::*;

/// Country code, national prefix, shortest and longest national number.
const PLANS: [(&str, &str, usize, usize); 8] = [
    ("44", "0", 9, 10),
    ("1", "1", 10, 10),
    ("49", "0", 6, 11),
    ("7", "8", 10, 10),
    ("36", "06", 8, 9),
    ("39", "", 6, 11),
    ("47", "", 8, 8),
    ("852", "", 8, 8),
];

fn plan(country: &str) -> Numbering {
    let (country, prefix, low, high) = *PLANS.iter().find(|plan| plan.0 == country).unwrap();
    Numbering::national(country, prefix, low..=high).unwrap()
}

fn read(numbering: &Numbering, raw: &str) -> Option<String> {
    numbering.read(raw).ok().map(String::from)
}

#[test]
fn numbers_as_trunks_of_a_country_write_them() {
    for (country, raw, expected) in [
        ("44", "02071838750", Some("+442071838750")),
        ("44", "2071838750", Some("+442071838750")),
        ("44", "442071838750", Some("+442071838750")),
        ("44", "+442071838750", Some("+442071838750")),
        ("44", "00442071838750", Some("+442071838750")),
        ("44", "0015551234567", Some("+15551234567")),
        ("44", "15551234567", Some("+15551234567")),
        // Leeds, which a trunk without a plan would take for an American prefix.
        ("44", "01132345678", Some("+441132345678")),
        ("44", "tel:020-7183-8750", Some("+442071838750")),
        (
            "44",
            "sip:020%207183%208750@198.51.100.7;user=phone",
            Some("+442071838750"),
        ),
        (
            "44",
            "tel:2071838750;phone-context=+44",
            Some("+442071838750"),
        ),
        (
            "44",
            "sip:5551234567;phone-context=%2B1@host",
            Some("+15551234567"),
        ),
        (
            "44",
            "tel:2071838750;phone-context=trunk.example",
            Some("+442071838750"),
        ),
        ("44", "999", None),
        ("44", "020718", None),
        ("1", "5551234567", Some("+15551234567")),
        ("1", "15551234567", Some("+15551234567")),
        ("1", "(555) 123-4567", Some("+15551234567")),
        ("1", "011442071838750", Some("+442071838750")),
        ("1", "442071838750", Some("+442071838750")),
        // Seven digits lack their area, which nobody can know.
        ("1", "1234567", None),
        ("49", "03012345678", Some("+493012345678")),
        ("49", "493012345678", Some("+493012345678")),
        ("7", "89161234567", Some("+79161234567")),
        ("7", "79161234567", Some("+79161234567")),
        ("7", "8312345678", Some("+78312345678")),
        ("36", "0612345678", Some("+3612345678")),
        // Italian numbers keep their zero, and mobiles begin as the country code does.
        ("39", "0612345678", Some("+390612345678")),
        ("39", "3921234567", Some("+393921234567")),
        ("39", "393921234567", Some("+393921234567")),
        ("47", "47123456", Some("+4747123456")),
        ("47", "4747123456", Some("+4747123456")),
        ("852", "85221234567", Some("+85221234567")),
    ] {
        assert_eq!(
            read(&plan(country), raw).as_deref(),
            expected,
            "{country}: {raw}"
        );
    }
}

#[test]
fn without_a_plan_digits_are_international() {
    let any = Numbering::default();
    for (raw, expected) in [
        ("15551234567", Some("+15551234567")),
        ("01115551234567", Some("+15551234567")),
        ("0015551234567", Some("+15551234567")),
        (
            "sips:%2B15551234567;npdi;rn=+15550000000@host",
            Some("+15551234567"),
        ),
        ("sip:+15551234567:secret@host", Some("+15551234567")),
        ("TEL:+1-555-123-4567;ext=4", Some("+15551234567")),
        ("tel:2071838750;phone-context=+44", Some("+442071838750")),
        ("tel:02071838750;phone-context=+44", None),
        // An area is no country, so it says nothing that is certain.
        ("tel:863-1234;phone-context=+1-914-555", Some("+8631234")),
        ("02071838750", None),
        ("sip:alice@example.com", None),
        ("+1 555 123 4567 8901 2", None),
        ("+٣٤٥٦٧٨٩٠", None),
    ] {
        assert_eq!(read(&any, raw).as_deref(), expected, "{raw}");
    }
}

#[test]
fn withheld_missing_and_unreadable_are_told_apart() {
    let numbering = plan("44");
    for raw in [
        "anonymous",
        "sip:anonymous@anonymous.invalid",
        "sip:Restricted@198.51.100.7",
        "UNAVAILABLE",
        "sip:unknown@unknown.invalid",
        "sip:%61nonymous@host",
    ] {
        let error = numbering.read(raw).unwrap_err();
        assert!(matches!(error, NoNumber::Withheld(_)), "{raw}: {error:?}");
    }
    for raw in [
        "",
        "  ",
        "sip:@host",
        "sip:15551234567",
        "tel:",
        "tel:;phone-context=+44",
    ] {
        assert_eq!(numbering.read(raw), Err(NoNumber::Absent), "{raw}");
    }
    for raw in ["alice", "+", "12", "sip:anonymous1@host"] {
        let error = numbering.read(raw).unwrap_err();
        assert!(matches!(error, NoNumber::Unreadable(_)), "{raw}: {error:?}");
    }
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "one of the mistakes")]
fn plans_that_make_no_numbers_are_refused() {
    assert!(Numbering::national("+44", "0", 9..=10).is_ok());
    for (country, prefix, digits) in [
        ("", "0", 9..=10),
        ("044", "0", 9..=10),
        ("4444", "0", 9..=10),
        ("4a", "0", 9..=10),
        ("44", "+", 9..=10),
        ("44", "00000", 9..=10),
        ("44", "0", 4..=10),
        ("44", "0", 9..=14),
        ("44", "0", 11..=9),
        ("1", "1", 10..=usize::MAX),
    ] {
        let plan = Numbering::national(country, prefix, digits.clone());
        assert!(plan.is_err(), "{country} {prefix} {digits:?}");
    }
}

prop_compose! {
    /// A number of some country: its plan, and the national number.
    fn of_a_country()(at in 0..PLANS.len())(
        plan in Just(PLANS[at]),
        number in proptest::string::string_regex(
            &format!("[1-9][0-9]{{{},{}}}", PLANS[at].2 - 1, PLANS[at].3 - 1)
        ).unwrap(),
    ) -> ((&'static str, &'static str, usize, usize), String) {
        (plan, number)
    }
}

proptest! {
    #[test]
    fn every_national_and_international_form_is_the_same_number(
        (plan, number) in of_a_country(),
        form in 0..4usize,
        wrapping in 0..6usize,
    ) {
        let (country, prefix, low, high) = plan;
        let numbering = Numbering::national(country, prefix, low..=high).unwrap();
        let sent = match form {
            0 => format!("+{country}{number}"),
            1 => format!("00{country}{number}"),
            2 => format!("{prefix}{number}"),
            _ => format!("+{}-({})", country, number),
        };
        let sent = match wrapping {
            0 => sent,
            1 => format!("tel:{sent};ext=12"),
            2 => format!("sip:{sent}@198.51.100.7:5060;user=phone"),
            3 => format!("SIPS:{};npdi@host", sent.replace('+', "%2B")),
            4 => format!(" {} ", sent.chars().map(|c| format!("{c}.")).collect::<String>()),
            _ => format!("sip:{}@host", sent.bytes().map(|b| format!("%{b:02x}")).collect::<String>()),
        };
        prop_assert_eq!(read(&numbering, &sent), Some(format!("+{country}{number}")), "{}", sent);
    }

    #[test]
    fn an_e164_number_is_itself_whatever_the_plan(number in "\\+[1-9][0-9]{6,14}", at in 0..=PLANS.len()) {
        let numbering = PLANS.get(at).map_or_else(Numbering::default, |plan| {
            Numbering::national(plan.0, plan.1, plan.2..=plan.3).unwrap()
        });
        prop_assert_eq!(read(&numbering, &number), Some(number));
    }

    #[test]
    fn anything_is_survived_and_no_digit_is_made_up(
        raw in "\\PC{0,80}|[-+0-9.() ]{0,24}|(tel|sips?):[+0-9%;=@:a-f]{0,40}",
        at in 0..=PLANS.len(),
    ) {
        let numbering = PLANS.get(at).map_or_else(Numbering::default, |plan| {
            Numbering::national(plan.0, plan.1, plan.2..=plan.3).unwrap()
        });
        if let Ok(number) = numbering.read(&raw) {
            prop_assert_eq!(numbering.read(number.as_str()), Ok(number.clone()));
            let sent: String = percent_decoded(&raw).chars().filter(char::is_ascii_digit).collect();
            // The last four are the subscriber's in every plan.
            let tail = &number.as_str()[number.as_str().len() - 4..];
            prop_assert!(sent.contains(tail), "{raw}: {number}");
        }
    }
}
