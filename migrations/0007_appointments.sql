-- Appointments booked by the assistants' own tools. A slot is a calendar's start time.

create table appointments (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references tenants,
    calendar text not null,
    starts_at timestamptz not null,
    contact_id uuid not null references contacts,
    conversation_id uuid not null references conversations,
    patient text not null,
    booked_at timestamptz not null,
    unique (tenant_id, calendar, starts_at)
);
call isolate('appointments');
