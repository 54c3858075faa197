-- migration: without transaction
-- Every row names its parents together with its tenant: a row cannot refer to another tenant's rows, whoever writes it.
-- Each statement takes its locks for a moment. The tables are read at the end, when nothing waits for these locks.

alter table contacts drop constraint if exists contacts_channel;
alter table contacts add constraint contacts_channel
    foreign key (tenant_id, channel_id) references channels (tenant_id, id) not valid;
alter table assistants drop constraint if exists assistants_version;
alter table assistants add constraint assistants_version
    foreign key (tenant_id, version_id) references assistant_versions (tenant_id, id) not valid;
alter table conversations drop constraint if exists conversations_channel;
alter table conversations add constraint conversations_channel
    foreign key (tenant_id, channel_id) references channels (tenant_id, id) not valid;
alter table conversations drop constraint if exists conversations_contact;
alter table conversations add constraint conversations_contact
    foreign key (tenant_id, contact_id) references contacts (tenant_id, id) not valid;
alter table conversations drop constraint if exists conversations_version;
alter table conversations add constraint conversations_version
    foreign key (tenant_id, version_id) references assistant_versions (tenant_id, id) not valid;
alter table inbox drop constraint if exists inbox_of_conversation;
alter table inbox add constraint inbox_of_conversation
    foreign key (tenant_id, conversation_id) references conversations (tenant_id, id) not valid;
alter table turns drop constraint if exists turns_conversation;
alter table turns add constraint turns_conversation
    foreign key (tenant_id, conversation_id) references conversations (tenant_id, id) not valid;
alter table turns drop constraint if exists turns_version;
alter table turns add constraint turns_version
    foreign key (tenant_id, version_id) references assistant_versions (tenant_id, id) not valid;
alter table interrupts drop constraint if exists interrupts_of_conversation;
alter table interrupts add constraint interrupts_of_conversation
    foreign key (tenant_id, conversation_id) references conversations (tenant_id, id) not valid;
alter table tool_calls drop constraint if exists tool_calls_conversation;
alter table tool_calls add constraint tool_calls_conversation
    foreign key (tenant_id, conversation_id) references conversations (tenant_id, id) not valid;
alter table outbox drop constraint if exists outbox_of_contact;
alter table outbox add constraint outbox_of_contact
    foreign key (tenant_id, conversation_id, contact_id) references conversations (tenant_id, id, contact_id) not valid;
alter table outbox drop constraint if exists outbox_held_for;
alter table outbox add constraint outbox_held_for
    foreign key (tenant_id, held_for) references channels (tenant_id, id) not valid;
alter table status_callbacks drop constraint if exists status_callbacks_outbox;
alter table status_callbacks add constraint status_callbacks_outbox
    foreign key (tenant_id, outbox_id) references outbox (tenant_id, id) not valid;
alter table appointments drop constraint if exists appointments_of_contact;
alter table appointments add constraint appointments_of_contact
    foreign key (tenant_id, conversation_id, contact_id) references conversations (tenant_id, id, contact_id) not valid;
alter table assistant_publications drop constraint if exists assistant_publications_version;
alter table assistant_publications add constraint assistant_publications_version
    foreign key (tenant_id, version_id) references assistant_versions (tenant_id, id) not valid;
alter table assistant_publications drop constraint if exists assistant_publications_before;
alter table assistant_publications add constraint assistant_publications_before
    foreign key (tenant_id, before_id) references assistant_publications (tenant_id, id) not valid;

-- The keys without the tenant, which the new ones include. Of an outbox row that was final before 0013 the contact is unknown.
alter table contacts drop constraint if exists contacts_channel_id_fkey;
alter table assistants drop constraint if exists assistants_version_id_fkey;
alter table conversations drop constraint if exists conversations_channel_id_fkey;
alter table conversations drop constraint if exists conversations_contact_id_fkey;
alter table conversations drop constraint if exists conversations_version_id_fkey;
alter table inbox drop constraint if exists inbox_conversation_id_fkey;
alter table turns drop constraint if exists turns_conversation_id_fkey;
alter table turns drop constraint if exists turns_version_id_fkey;
alter table interrupts drop constraint if exists interrupts_conversation_id_fkey;
alter table tool_calls drop constraint if exists tool_calls_conversation_id_fkey;
alter table outbox drop constraint if exists outbox_conversation_id_fkey;
alter table status_callbacks drop constraint if exists status_callbacks_outbox_id_fkey;
alter table appointments drop constraint if exists appointments_contact_id_fkey;
alter table appointments drop constraint if exists appointments_conversation_id_fkey;
alter table assistant_publications drop constraint if exists assistant_publications_version_id_fkey;
alter table assistant_publications drop constraint if exists assistant_publications_before_id_fkey;

alter table contacts validate constraint contacts_channel;
alter table assistants validate constraint assistants_version;
alter table conversations validate constraint conversations_channel;
alter table conversations validate constraint conversations_contact;
alter table conversations validate constraint conversations_version;
alter table inbox validate constraint inbox_of_conversation;
alter table turns validate constraint turns_conversation;
alter table turns validate constraint turns_version;
alter table interrupts validate constraint interrupts_of_conversation;
alter table tool_calls validate constraint tool_calls_conversation;
alter table outbox validate constraint outbox_of_contact;
alter table outbox validate constraint outbox_held_for;
alter table status_callbacks validate constraint status_callbacks_outbox;
alter table appointments validate constraint appointments_of_contact;
alter table assistant_publications validate constraint assistant_publications_version;
alter table assistant_publications validate constraint assistant_publications_before;
