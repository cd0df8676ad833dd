-- Scans the purchases while they are bought.
ALTER TABLE purchases VALIDATE CONSTRAINT purchases_hold_expires;
