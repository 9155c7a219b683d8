"""Data that people have: one loader for environments, supervised fine-tuning and preferences."""

from .conversations import as_messages as as_messages
from .conversations import holds_preferences as holds_preferences
from .conversations import load_conversations as load_conversations
from .conversations import load_preferences as load_preferences
from .fields import Field as Field
from .fields import final_number_of as final_number_of
from .fields import label_of as label_of
from .fields import number_of as number_of
from .fields import text_of as text_of
from .items import Items as Items
from .items import load_items as load_items
from .sources import full_source as full_source
from .sources import open_rows as open_rows
from .sources import read_once as read_once
