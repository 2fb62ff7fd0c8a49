-- What operators were told of a task or issue, however much else was done for it.
CREATE INDEX outbox_alerts ON outbox (queue, id) WHERE kind = 'alert';
