-- Counts the changes of an event's rules. A replica sells by rules that it has cached, and names the revision that they are
-- of; a statement with another revision sells nothing. Whoever changes a rule in SQL increments it.
--
-- Replicas of the version before change rules without it, so change none while both versions run.
--
-- The default is kept in the catalogue, so no row is rewritten.
ALTER TABLE events ADD COLUMN revision integer NOT NULL DEFAULT 1;
