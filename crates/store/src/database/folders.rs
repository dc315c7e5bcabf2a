use async_trait::async_trait;
use ringdown_domain::{FolderId, ProjectId, Timestamp};

use super::Database;
use super::rows::{Count, count, not_found, page, within};
use crate::sql::{Row, sql};
use crate::{Error, Folder, FolderFilter, Folders, Listing, Page, Result, Scope};

const FOLDER: &str = "f.*, (SELECT count(*) FROM scenarios s WHERE s.project_id = f.project_id \
    AND s.folder_path = f.path) AS scenarios";

fn folder(row: &Row) -> Result<Folder> {
    Ok(Folder {
        id: row.id("id")?,
        project: row.id("project_id")?,
        path: row.get("path")?,
        scenarios: count("folder", row.get("scenarios")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

#[async_trait]
impl Folders for Database {
    async fn create_folder(
        &self,
        scope: Scope,
        project: ProjectId,
        path: &str,
        now: Timestamp,
    ) -> Result<Folder> {
        if scope.project.is_some_and(|only| only != project) {
            return Err(not_found("project", project));
        }
        let mut tx = self.write().await?;
        let known = sql("SELECT 1 FROM projects WHERE org_id = $1 AND id = $2")
            .bind(scope.org.0)
            .bind(project.0)
            .optional(&mut tx)
            .await?;
        if known.is_none() {
            return Err(not_found("project", project));
        }
        if let Some((parent, _)) = path.rsplit_once('.') {
            let known = sql("SELECT 1 FROM folders WHERE project_id = $1 AND path = $2")
                .bind(project.0)
                .bind(parent)
                .optional(&mut tx)
                .await?;
            if known.is_none() {
                return Err(not_found("folder", parent));
            }
        }
        let created = sql(
            "INSERT INTO folders (org_id, project_id, path, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $4) ON CONFLICT (project_id, path) DO NOTHING RETURNING id",
        )
        .bind(scope.org.0)
        .bind(project.0)
        .bind(path)
        .bind(now)
        .optional(&mut tx)
        .await?;
        let Some(created) = created else {
            return Err(Error::Conflict {
                what: "folder",
                why: format!("there is a folder {path} already"),
            });
        };
        let id = created.id("id")?;
        tx.commit().await?;
        self.folder(scope, id).await
    }

    async fn folders(
        &self,
        scope: Scope,
        filter: FolderFilter,
        wanted: Page,
    ) -> Result<Listing<Folder>> {
        page(
            &mut self.read().await?,
            FOLDER,
            " ORDER BY f.path, f.id",
            wanted,
            Count::Exactly,
            |query| {
                query.push(" FROM folders f WHERE ");
                within(query, "f.", scope);
                if let Some(project) = filter.project {
                    query.push(" AND f.project_id = ").push_bind(project.0);
                }
                match filter.parent.as_deref() {
                    None => {}
                    Some("") => {
                        query.either(
                            " AND instr(f.path, '.') = 0",
                            " AND strpos(f.path, '.') = 0",
                        );
                    }
                    Some(parent) => {
                        // Directly below: the rest of the path has no further level. No LIKE: it has
                        // wildcards, and ignores case on one of the databases.
                        let prefix = format!("{parent}.");
                        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
                        query.push(" AND substr(f.path, 1, CAST(").push_bind(length);
                        query.push(" AS INTEGER)) = ").push_bind(prefix);
                        query.push(" AND ").either("instr", "strpos");
                        query.push("(substr(f.path, CAST(").push_bind(length);
                        query.push(" AS INTEGER) + 1), '.') = 0");
                    }
                }
                if let Some(text) = &filter.search {
                    query.push(" AND ").text_has("f.path", text);
                }
                if let Some(agent) = filter.agent {
                    query.push(
                        " AND EXISTS (SELECT 1 FROM scenarios s WHERE s.project_id = f.project_id \
                         AND s.folder_path = f.path AND s.agent_id = ",
                    );
                    query.push_bind(agent.0).push(")");
                }
            },
            folder,
        )
        .await
    }

    async fn folder(&self, scope: Scope, id: FolderId) -> Result<Folder> {
        let mut query = sql("SELECT ");
        query.push(FOLDER).push(" FROM folders f WHERE f.id = ");
        query.push_bind(id.0).push(" AND ");
        within(&mut query, "f.", scope);
        let row = query.optional(&mut self.read().await?).await?;
        folder(&row.ok_or_else(|| not_found("folder", id))?)
    }
}
