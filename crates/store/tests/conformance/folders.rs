use ringdown_store::{FolderFilter, Page};

use super::{Db, PAGE, at, hidden, refused, team};

pub async fn a_folder_needs_its_parent_and_a_path_of_its_own(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let (me, project) = (ours.scope(), ours.project.id);
    let create = |path: &'static str| db.create_folder(me, project, path, at(1));
    hidden("a parent", &create("a.b").await);
    let a = create("a").await.unwrap();
    assert_eq!((a.path.as_str(), a.scenarios), ("a", 0));
    let b = create("a.b").await.unwrap();
    assert_eq!(db.folder(me, b.id).await.unwrap(), b);
    refused("a path", &create("a.b").await);
    hidden("a parent", &create("a.x.c").await);
    // Another project has its own.
    let other = ours.another_project("other").await.id;
    hidden("a parent", &db.create_folder(me, other, "a.b", at(1)).await);
    db.create_folder(me, other, "a", at(1)).await.unwrap();
    let foreign = db.create_folder(me, theirs.project.id, "a", at(1)).await;
    hidden("a project", &foreign);
    hidden("a folder", &db.folder(theirs.scope(), a.id).await);
    let all = db.folders(theirs.scope(), FolderFilter::default(), PAGE);
    assert_eq!(all.await.unwrap().count, 0);
}

/// No character of a path is a wildcard, and capital letters are others.
pub async fn folders_are_found_by_parent_text_and_agent(db: Db) {
    let team = team(&db, "team").await;
    let (me, project) = (team.scope(), team.project.id);
    for path in [
        "a", "a.b", "a.b.c", "a.d", "A", "A.e", "a_", "a_.f", "ax", "ax.g", "a%", "a%.h", "a\\",
        "a\\.i", "\u{e4}", "\u{e4}.j",
    ] {
        db.create_folder(me, project, path, at(1)).await.unwrap();
    }
    let find = async |filter| -> Vec<String> {
        let found = db.folders(me, filter, PAGE).await.unwrap();
        assert_eq!(found.count, found.rows.len() as u64);
        found.rows.into_iter().map(|folder| folder.path).collect()
    };
    let below = async |parent: &str| {
        let filter = FolderFilter {
            parent: Some(parent.to_owned()),
            ..FolderFilter::default()
        };
        find(filter).await
    };
    assert_eq!(below("").await.len(), 7, "{:?}", below("").await);
    assert_eq!(below("a").await, ["a.b", "a.d"]);
    assert_eq!(below("a.b").await, ["a.b.c"]);
    assert_eq!(below("A").await, ["A.e"]);
    assert_eq!(below("a_").await, ["a_.f"]);
    assert_eq!(below("a%").await, ["a%.h"]);
    assert_eq!(below("a\\").await, ["a\\.i"]);
    assert_eq!(below("\u{e4}").await, ["\u{e4}.j"]);
    assert!(below("none").await.is_empty());
    let containing = |text: &str| FolderFilter {
        search: Some(text.to_owned()),
        ..FolderFilter::default()
    };
    assert_eq!(find(containing("%")).await, ["a%", "a%.h"]);
    assert_eq!(find(containing("X")).await, ["ax", "ax.g"]);

    let mut new = team.new_scenario("in a folder");
    new.folder_path = Some("a.b".to_owned());
    db.create_scenario(new, at(2)).await.unwrap();
    let of_agent = FolderFilter {
        agent: Some(team.agent.id),
        project: Some(project),
        ..FolderFilter::default()
    };
    let found = db.folders(me, of_agent, PAGE).await.unwrap();
    assert_eq!((found.count, found.rows[0].scenarios), (1, 1));
    assert_eq!(found.rows[0].path, "a.b");
    let second = Page {
        number: 2,
        size: 10,
    };
    let found = db
        .folders(me, FolderFilter::default(), second)
        .await
        .unwrap();
    assert_eq!((found.count, found.rows.len()), (16, 6));
}
