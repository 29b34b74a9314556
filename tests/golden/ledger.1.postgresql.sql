CREATE TABLE ledger_tables (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
CREATE TABLE facts (
	seq BIGINT GENERATED ALWAYS AS IDENTITY, 
	use_case TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	schema INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	CONSTRAINT facts_numbered UNIQUE (use_case, kind, subject, number)
);
CREATE INDEX facts_in_order ON facts (use_case, seq);
CREATE FUNCTION facts_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'facts are never updated or deleted'; END $$;
CREATE TRIGGER facts_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON facts FOR EACH STATEMENT EXECUTE FUNCTION facts_are_kept();
INSERT INTO ledger_tables VALUES (1);
INSERT INTO facts (use_case, kind, subject, number, at, actor, reason, schema, body) VALUES ('churn','job','j',1,'2026-03-01T00:00:00.000000Z','ada','It was asked for.',1,'{"command":["train"],"ended_at":null,"id":"j","reason":"Drift was found.","state":"queued","submitted_at":null}');
