-- Goods again, under the name that the shop's have.
CREATE SCHEMA stall;
CREATE TABLE stall.goods (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title text NOT NULL,
    bought_as uuid
);
-- Refers to goods: its reference must name the right ones.
CREATE TABLE stall.tickets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    good_id uuid NOT NULL REFERENCES stall.goods (id)
);
