//! Which zones of a compile lose too much, and what is published instead of them.
//!
//! Pure: counts of names before and after come in, a verdict goes out. Invariants: a zone that is refused stays as it is; what
//! is forced zone by zone was looked at, so it does not count again for all zones together.

use std::collections::{HashMap, HashSet};

use snapshot::dns::name::Name;
use snapshot::handover::Keep;

use crate::gate::{Force, Gate, Loss};

/// What may be published.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Zones that keep what they have.
    pub(super) refused: Vec<Loss>,
    /// Losses that were forced.
    pub(super) forced: Vec<Loss>,
    /// Zones to remove.
    pub(super) remove: Vec<Name>,
    /// What stays besides.
    pub(super) keep: Keep,
}

/// Compares the names of the zones there were with those of the zones that were compiled. Zones of `stay` are no loss if they
/// are not given.
///
/// # Errors
/// The losses because of which nothing may be published: that of all zones together.
pub(super) fn judge(
    before: &[(Name, u32)],
    after: &[(Name, u32)],
    (keep, stay): (Keep, &HashSet<Name>),
    force: Option<&Force>,
) -> Result<Verdict, Vec<Loss>> {
    let opens = |gate| force.is_some_and(|force| force.opens(gate));
    let given: HashMap<&Name, u32> = after.iter().map(|(apex, names)| (apex, *names)).collect();
    let mut verdict = Verdict { refused: Vec::new(), forced: Vec::new(), remove: Vec::new(), keep };
    let mut gone = Vec::new();
    // The zones that are not forced, together.
    let (mut total_before, mut total_after) = (0, 0);
    let had: HashSet<&Name> = before.iter().map(|(apex, _)| apex).collect();
    total_after +=
        after.iter().filter(|(apex, _)| !had.contains(apex)).map(|(_, names)| u64::from(*names)).sum::<u64>();
    let mut some_stay = false;
    for (apex, names_before) in before {
        if keep == Keep::Nothing && stay.contains(apex) && !given.contains_key(apex) {
            // Counted on neither side: they would hide what the others lose.
            some_stay = true;
            continue;
        }
        let names_before = u64::from(*names_before);
        let names = match (given.get(apex), keep) {
            (Some(&names), _) => u64::from(names),
            (None, Keep::Others) => names_before,
            (None, Keep::Nothing) => 0,
        };
        let is_gone = keep == Keep::Nothing && !given.contains_key(apex);
        match Loss::of(Gate::Shrink, Some(apex), names_before, names) {
            Some(loss) if opens(Gate::Shrink) => {
                verdict.forced.push(loss);
                gone.extend(is_gone.then(|| apex.clone()));
                continue;
            }
            Some(loss) => {
                verdict.refused.push(loss);
                total_after += names_before;
            }
            None => {
                gone.extend(is_gone.then(|| apex.clone()));
                total_after += names;
            }
        }
        total_before += names_before;
    }
    verdict.refused.sort_by_cached_key(sort_key);
    match Loss::of(Gate::ShrinkTotal, None, total_before, total_after) {
        Some(loss) if opens(Gate::ShrinkTotal) => verdict.forced.push(loss),
        Some(loss) => return Err(verdict.refused.into_iter().chain([loss]).collect()),
        None => {}
    }
    verdict.forced.sort_by_cached_key(sort_key);
    if !verdict.refused.is_empty() || some_stay {
        // Some zones stay, so the others have to be removed one by one.
        verdict.keep = Keep::Others;
        verdict.remove = gone;
    }
    Ok(verdict)
}

/// In canonical order of the zones, the loss of all zones first.
fn sort_key(loss: &Loss) -> Vec<u8> {
    let mut key = Vec::new();
    if let Some(zone) = &loss.zone {
        zone.as_ref().push_sort_key(&mut key);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Reason;

    /// Zones given as `a=5 b=7`: apex and names.
    fn zones(text: &str) -> Vec<(Name, u32)> {
        let zone = |word: &str| {
            let (apex, names) = word.split_once('=').unwrap();
            (format!("{apex}.").parse().unwrap(), names.parse().unwrap())
        };
        text.split_whitespace().map(zone).collect()
    }

    /// Judges with these gates forced; what is refused, forced and removed, or why nothing is published.
    fn check(keep: Keep, before: &str, after: &str, gates: &[Gate], expected: &str) {
        let force = Force { gates: gates.to_vec(), reason: Reason::new("x").unwrap() };
        let words = |losses: &[Loss]| {
            let word = |loss: &Loss| {
                let zone = loss.zone.as_ref().map_or("all".into(), |zone| zone.to_string().replace('.', ""));
                format!("{zone}={}-{}", loss.before, loss.after)
            };
            losses.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        let parts = match judge(&zones(before), &zones(after), (keep, &HashSet::new()), Some(&force)) {
            Err(losses) => vec![format!("nothing: {}", words(&losses))],
            Ok(Verdict { refused, forced, remove, keep: kept }) => {
                assert_eq!(kept == keep, refused.is_empty() || keep == Keep::Others);
                let remove: Vec<String> = remove.iter().map(ToString::to_string).collect();
                let parts = [("refused", words(&refused)), ("forced", words(&forced)), ("removed", remove.join(" "))];
                let shown = parts.iter().filter(|(_, text)| !text.is_empty());
                shown.map(|(what, text)| format!("{what}: {text}")).collect()
            }
        };
        assert_eq!(parts.join("; "), expected);
    }

    #[test]
    fn a_zone_that_loses_much_is_refused_and_the_others_are_not() {
        let none: &[Gate] = &[];
        for keep in [Keep::Nothing, Keep::Others] {
            check(keep, "", "new=9", none, "");
            check(keep, "a=1000 b=9", "a=800 b=9", none, "");
            check(keep, "a=1000 b=9", "a=799 b=9", none, "refused: a=1000-799");
            check(keep, "a=500", "a=400 b=1", none, "");
            check(keep, "a=505", "a=404", none, "");
            check(keep, "a=504", "a=403", none, "refused: a=504-403");
            check(keep, "a=1000 b=1000", "a=1 b=5000 c=1", none, "refused: a=1000-1");
            check(keep, "b=1000 a=1000", "a=1 b=1", none, "refused: a=1000-1 b=1000-1");
            check(keep, "a=1000", "a=1", &[Gate::Shrink], "forced: a=1000-1");
            check(keep, "a=1000", "a=1", &[Gate::ShrinkTotal], "refused: a=1000-1");
        }
    }

    #[test]
    fn a_zone_that_is_not_given_goes_unless_it_is_large_or_others_stay() {
        check(Keep::Nothing, "a=100 b=1000", "b=1000", &[], "");
        check(Keep::Nothing, "a=101 b=1000", "b=1000", &[], "refused: a=101-0");
        check(Keep::Nothing, "a=101 b=1000 c=7", "b=1000", &[], "refused: a=101-0; removed: c.");
        check(Keep::Nothing, "a=101 b=1000", "b=1000", &[Gate::Shrink], "forced: a=101-0");
        check(Keep::Nothing, "a=101 b=9 c=500", "c=1", &[Gate::Shrink], "forced: a=101-0 c=500-1");
        check(Keep::Others, "a=101 b=1000", "b=1000", &[], "");
    }

    #[test]
    fn zones_that_stay_in_any_case_are_no_loss_and_hide_none() {
        let stay: HashSet<Name> = zones("a=1 b=1").into_iter().map(|(apex, _)| apex).collect();
        let check = |before: &str, after: &str| {
            judge(&zones(before), &zones(after), (Keep::Nothing, &stay), None).map(|verdict| {
                let remove: Vec<String> = verdict.remove.iter().map(ToString::to_string).collect();
                (verdict.refused.len(), remove.join(" "), verdict.keep)
            })
        };
        assert_eq!(check("a=1000 b=9 c=9 d=9", "d=9").unwrap(), (0, "c.".into(), Keep::Others));
        assert_eq!(check("c=9 d=9", "d=9").unwrap(), (0, String::new(), Keep::Nothing));
        // A zone that is given is compared like any other, and so is what does not stay.
        assert_eq!(check("a=1000 b=9", "a=1").unwrap(), (1, String::new(), Keep::Others));
        assert!(check("a=1000 c=100 d=100", "d=9").is_err());
    }

    #[test]
    fn all_zones_together_may_not_lose_much_either() {
        let small: String = (0..20).map(|number| format!("z{number}=10 ")).collect();
        check(Keep::Nothing, &small, "z0=10", &[], "nothing: all=200-10");
        check(Keep::Nothing, &small, "z0=10", &[Gate::Shrink], "nothing: all=200-10");
        check(Keep::Nothing, &small, "z0=10 new=90", &[], "");
        check(Keep::Nothing, &small, "z0=10 new=89", &[], "nothing: all=200-99");
        check(Keep::Nothing, &small, "z0=10", &[Gate::ShrinkTotal], "forced: all=200-10");
        // A zone that is refused stays, and one that is forced counts neither before nor after.
        let with_large = format!("a=1000 {small}");
        check(Keep::Nothing, &with_large, &format!("a=1 {small}"), &[], "refused: a=1000-1");
        check(Keep::Nothing, &with_large, &format!("a=1 {small}"), &[Gate::Shrink], "forced: a=1000-1");
        check(Keep::Nothing, &with_large, "a=1", &[Gate::Shrink], "nothing: all=200-0");
        check(
            Keep::Nothing,
            &with_large,
            "a=1",
            &[],
            "refused: a=1000-1; removed: z0. z1. z2. z3. z4. z5. z6. z7. \
             z8. z9. z10. z11. z12. z13. z14. z15. z16. z17. z18. z19.",
        );
        check(Keep::Nothing, &with_large, "", &[Gate::Shrink, Gate::ShrinkTotal], "forced: all=200-0 a=1000-0");
    }
}
