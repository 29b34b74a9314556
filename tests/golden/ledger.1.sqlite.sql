BEGIN TRANSACTION;
CREATE TABLE facts (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	use_case TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	schema INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT facts_numbered UNIQUE (use_case, kind, subject, number)
);
INSERT INTO "facts" VALUES(1,'churn','job','j',1,'2026-03-01T00:00:00.000000Z','ada','It was asked for.',1,'{"command":["train"],"ended_at":null,"id":"j","reason":"Drift was found.","state":"queued","submitted_at":null}');
CREATE TABLE ledger_tables (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "ledger_tables" VALUES(1);
CREATE INDEX facts_in_order ON facts (use_case, seq);
CREATE TRIGGER facts_never_updated BEFORE UPDATE ON facts BEGIN SELECT RAISE(ABORT, 'facts are never updated'); END;
CREATE TRIGGER facts_never_deleted BEFORE DELETE ON facts BEGIN SELECT RAISE(ABORT, 'facts are never deleted'); END;
CREATE TRIGGER facts_never_replaced BEFORE INSERT ON facts WHEN EXISTS (SELECT 1 FROM facts WHERE seq = NEW.seq OR (use_case = NEW.use_case AND kind = NEW.kind AND subject = NEW.subject AND number = NEW.number)) BEGIN SELECT RAISE(ABORT, 'facts are never replaced'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('facts',1);
COMMIT;
